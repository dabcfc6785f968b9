import { describe, expect, test } from "@jest/globals";
import { Renderer } from "../../../src/render/renderer.ts";
import { SluiceError } from "../../../src/support/errors.ts";
import { route } from "../../support/routes.ts";
import { backend, loadBalancer, paths, server, settings, small, templateOf } from "./fixtures.ts";

/** What rendering such a template throws. */
async function failure(
  main: string,
  parts: Readonly<Record<string, string>> = {},
  balancer = small,
): Promise<SluiceError> {
  const template = await templateOf(main, parts);
  try {
    new Renderer({ paths }).render(balancer, settings(), template);
  } catch (thrown) {
    if (thrown instanceof SluiceError) return thrown;
    throw thrown;
  }
  throw new Error("it was rendered");
}

describe("a failure names template, line, column and reason", () => {
  test.each<[string, string, Record<string, string>, string]>([
    ["an unknown field", "a\n  {{ http.bnd }}", {}, "main.njk:2:6: http.bnd has no value"],
    ["an unknown name", "{{ htttp }}", {}, "main.njk:1:4: htttp has no value"],
    ["an unknown field of an unknown name", "{{ a.b.c }}", {}, "main.njk:1:4: a.b.c has no value"],
    [
      "a loop over nothing",
      "\n{% for b in backend_s %}x{% endfor %}",
      {},
      "main.njk:2:13: backend_s has no value to loop over",
    ],
    ["an unknown filter", "{{ http.domain | shout }}", {}, 'main.njk:1:18: there is no filter "shout"'],
    ["a filter that refuses", "\n\n{{ 'a b' | token }}", {}, 'main.njk:3:12: token: the value "a b" is not a name'],
    ["an unknown function", "{{ frob(1) }}", {}, 'main.njk:1:4: there is no function or macro "frob"'],
    ["an object in place of a text", "{{ stats }}", {}, "main.njk:1:4: stats is an object and has no text"],
    ["a missing part", '\n{% include "gone.njk" %}', {}, 'main.njk:2:4: there is no template "gone.njk" beside it'],
    ["a missing macro file", '{% from "gone.njk" import x %}', {}, 'main.njk:1:4: there is no template "gone.njk"'],
    ["a syntax error", "a\n{% if x %}\nb", {}, "main.njk:3: parseIf: expected elif, else, or endif, got end of file"],
    [
      "a syntax error in a part",
      '{% include "p.njk" %}',
      { "p.njk": "\n{{ 1 + }}" },
      "p.njk:2:8: unexpected token: }}",
    ],
    ["a part", '{% include "p.njk" %}', { "p.njk": "\n\n {{ nope }}" }, "p.njk:3:5: nope has no value"],
    ["a part's filter", '{% include "p.njk" %}', { "p.njk": "\n{{ '' | host }}" }, "p.njk:2:9: host: the value"],
    [
      "a macro of another file",
      '{% from "m.njk" import m %}\n{{ m(1) }}',
      { "m.njk": "{% macro m(x) %}\n{{ x.y }}{% endmacro %}" },
      "m.njk:2:4: x.y has no value",
    ],
    [
      "backend.njk",
      "\n{{ backend(backends[0]) }}",
      { "backend.njk": "backend {{ b.nme }}" },
      "backend.njk:1:12: b.nme has no value",
    ],
    [
      "the server macro",
      "{{ backend(backends[0]) }}",
      { "server.njk": "{% macro server(b, s) %}\nserver {{ s.nme }}{% endmacro %}" },
      "server.njk:2:11: s.nme has no value",
    ],
    [
      "a partial's view of the fleet",
      "{{ backend(backends[0]) }}",
      { "backend.njk": "{{ routes.length }}" },
      "backend.njk:1:4: routes.length has no value",
    ],
    ["backend() of something else", "{{ backend('web') }}", {}, "main.njk:1:4: backend: it takes one of `backends`"],
    [
      "a missing asset",
      "{{ asset('errors/500.http') }}",
      {},
      'main.njk:1:4: asset: there is no file "errors/500.http"',
    ],
    [
      "mapFile without a field",
      "{{ mapFile('x.map', routes, 'host', 'port') }}",
      {},
      'main.njk:1:4: mapFile: a row has no "port"',
    ],
    ["chance", "{{ [1, 2] | random }}", {}, "main.njk:1:13: random: the same input has to give the same configuration"],
  ])("%s", async (_what, main, parts, message) => {
    const error = await failure(main, parts);
    expect(error.code).toBe(message.includes("the value") ? "ERR_VALUE_UNSAFE" : "ERR_TEMPLATE_FAILED");
    expect(error.message.slice(0, message.length)).toBe(message);
    expect(error.message).toMatch(/ \(template \/etc\/sluice\/main\.njk\)$/);
    expect(error.message).not.toMatch(/Template render error|\n/);
  });

  test("place and reason are there for programs too", async () => {
    const error = await failure("\n{{ nope }}");
    expect(error.details).toEqual({
      path: "/etc/sluice/main.njk",
      template: "main.njk",
      line: 2,
      column: 4,
      reason: "nope has no value",
    });
    expect(error.retryable).toBe(false);
  });

  test("a value that cannot be carried keeps its code", async () => {
    const bad = loadBalancer([backend("web", [server("w", "10.0.0.1", 80)])], {
      routes: [route("a b", "web")],
    });
    const error = await failure('\n{{ mapFile("hosts.map", routes, "host", "backend") }}', {}, bad);
    expect(error.code).toBe("ERR_VALUE_UNSAFE");
    expect(error.message).toMatch(/^main\.njk:2:4: mapFile: the map hosts\.map cannot be written: the key "a b"/);
  });
});

test("what may be missing may be asked for", async () => {
  const main =
    "{% if http.defaultBackend %}yes{% else %}no{% endif %} {{ nope | default('-') }} {{ x if x is defined else '.' }}";
  const { text } = new Renderer({ paths }).render(small, settings(), await templateOf(main));
  expect(text).toBe("no - .\n");
});

test("macros with caller, set blocks, filter blocks and conditions still work as nunjucks has them", async () => {
  const main =
    "{% macro box(a, b='z') %}[{{ caller() }}{{ a }}{{ b }}]{% endmacro %}" +
    "{% call box('x') %}in{% endcall %}{% set t %}a\nb{% endset %}{{ t }}" +
    "{% filter upper %}low{% endfilter %}{% for k, v in { 'q': 1 } %}{{ k }}{{ v }}{{ loop.index }}{% endfor %}" +
    "{% for n in [] %}x{% else %}none{% endfor %}{{ 1 + 2 }}{{ 'a' ~ 'b' }}{{ [3, 1] | sort | join('-') }}";
  const { text } = new Renderer({ paths }).render(small, settings(), await templateOf(main));
  expect(text).toBe("[inxz]a\nbLOWq11none3ab1-3\n");
});
