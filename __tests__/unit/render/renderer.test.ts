import { readFile, writeFile } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import { Renderer } from "../../../src/render/renderer.ts";
import { loadTemplate, templateFromSources } from "../../../src/render/template-source.ts";
import type { LoadBalancer } from "../../../src/routing/types.ts";
import { route } from "../../support/routes.ts";
import { backend, loadBalancer, paths, server, settings, small, templateOf } from "./fixtures.ts";

const golden = new URL("golden/default.cfg", import.meta.url);

describe("the default template", () => {
  test("renders the golden file (UPDATE_GOLDEN=1 writes it anew)", async () => {
    const { text, maps } = new Renderer({ paths }).render(small, settings(), await loadTemplate());
    if (process.env["UPDATE_GOLDEN"] === "1") await writeFile(golden, text);
    expect(text).toBe(await readFile(golden, "utf8"));
    expect([...maps].filter(([, content]) => content !== "")).toEqual([
      ["/var/lib/sluice/maps/routes.map", "cache.service.local/ cache\nweb.service.local/ web\n"],
    ]);
  });

  test("leads to the default service's backend where there is one, else to the 404 page", async () => {
    const template = await loadTemplate();
    const renderer = new Renderer({ paths });
    expect(renderer.render(small, settings(), template).text).toContain("default_backend sluice_no_route\n");
    const { text } = renderer.render({ ...small, defaultBackend: "web" }, settings(), template);
    expect(text).toContain("default_backend web\n");
  });

  test("writes what the settings say", async () => {
    const given = {
      http: { bind: "127.0.0.1:80,[::1]:80" },
      stats: { bind: "10.0.0.1:9000", path: "/100%", user: "ops", password: 'it\'s #1 \\ "p$w"' },
      reload: { hardStopAfter: "90s" },
    };
    const { text } = new Renderer({ paths }).render(loadBalancer([]), settings(given), await loadTemplate());
    expect(text).toContain("  bind 127.0.0.1:80\n  bind [::1]:80\n");
    expect(text).toContain("  bind 10.0.0.1:9000\n");
    expect(text).toContain('  stats auth ops:it\\\'s\\ \\#1\\ \\\\\\ \\"p$w\\"\n');
    expect(text).toContain("  stats uri /100%\n");
    expect(text).toContain("redirect location /100%% code");
    expect(text).toContain("  hard-stop-after 90s\n");
  });

  test("has no redirect onto itself where the stats page is at /, and ends old workers at once where that is said", async () => {
    const given = { stats: { path: "/" }, reload: { hardStopAfter: 0 } };
    const { text } = new Renderer({ paths }).render(loadBalancer([]), settings(given), await loadTemplate());
    expect(text).not.toContain("code 302 if { path / }");
    expect(text).toContain("  hard-stop-after 1s\n");
  });

  test("brings its error pages as files named by their content, heads in CRLF", async () => {
    const { text, assets } = new Renderer({ paths }).render(small, settings(), await loadTemplate());
    expect([...assets.keys()].map((path) => path.replace(/[0-9a-f]{8}/, "HASH"))).toEqual([
      "/var/lib/sluice/assets/503.HASH.http",
      "/var/lib/sluice/assets/404.HASH.http",
    ]);
    for (const [path, page] of assets) {
      expect(text).toContain(path);
      const head = page.slice(0, page.indexOf("\r\n\r\n"));
      expect(head.split("\r\n").every((line) => !/[\r\n]/.test(line))).toBe(true);
      expect(head).toContain("Cache-Control: no-store");
      expect(head).not.toContain("Content-Length");
    }
  });
});

describe("what a template sees", () => {
  test("is frozen to the last field", async () => {
    const main = '{% set x = backends[0].servers.push("x") %}';
    const render = async () => new Renderer({ paths }).render(small, settings(), await templateOf(main));
    await expect(render()).rejects.toMatchObject({ code: "ERR_TEMPLATE_FAILED" });
  });

  test("knows the versions it was told", async () => {
    const main = "{{ sluice.version }} {{ haproxy.version if haproxy else 'none' }}";
    const template = await templateOf(main);
    const told = new Renderer({ paths, version: "1.2.3", haproxyVersion: "2.6.12" });
    expect(told.render(small, settings(), template).text).toBe("1.2.3 2.6.12\n");
    expect(new Renderer({ paths, version: "1.2.3" }).render(small, settings(), template).text).toBe("1.2.3 none\n");
  });

  test("follows HAProxy when it is replaced by another version, in backends too", async () => {
    const main = "{% for b in backends %}{{ backend(b) }}{% endfor %}";
    const template = await templateOf(main, { "backend.njk": "{{ haproxy.version }}" });
    const renderer = new Renderer({ paths, haproxyVersion: "2.6.12" });
    const given = settings();
    expect(renderer.render(small, given, template).text).toBe("2.6.12\n2.6.12\n");
    renderer.haproxyVersion = "3.0.11";
    expect(renderer.render(small, given, template).text).toBe("3.0.11\n3.0.11\n");
  });

  test("cannot end a line: control characters of free texts are shown as U+FFFD", async () => {
    const hostile = backend("web", [
      server("w1_10.0.0.1:80", "10.0.0.1", 80, { instance: { node: "n\nbackend evil", id: "i\r\0" } }),
    ]);
    const main = "{% for b in backends %}# {{ b.servers[0].node }} {{ b.servers[0].instanceId }}\n{% endfor %}";
    const { text } = new Renderer({ paths }).render(loadBalancer([hostile]), settings(), await templateOf(main));
    expect(text).toBe("# n\ufffdbackend evil i\ufffd\ufffd\n");
  });

  test("can be written: half a character of a free text is shown as U+FFFD", async () => {
    const torn = backend("web", [
      server("w1_10.0.0.1:80", "10.0.0.1", 80, { instance: { node: "n\ud800", id: "\udc80\u{1f480}" } }),
    ]);
    const main =
      "{% for b in backends %}# {{ b.servers[0].node | quote }} {{ b.servers[0].instanceId | quote }}\n{% endfor %}";
    const { text } = new Renderer({ paths }).render(loadBalancer([torn]), settings(), await templateOf(main));
    expect(text).toBe("# n\ufffd \ufffd\u{1f480}\n");
  });

  test.each([
    ["backend name", loadBalancer([backend("we b", [])])],
    ["backend name", loadBalancer([backend("web\n", [])])],
    ["server name", loadBalancer([backend("web", [server("a\nserver evil", "10.0.0.1", 80)])])],
    ["server address", loadBalancer([backend("web", [server("a", "10.0.0.1 disabled", 80)])])],
    ["route's host", loadBalancer([], { routes: [route("a\nb", "web")] })],
    ["route's host", loadBalancer([], { routes: [route("a b", "web")] })],
    ["route's backend", loadBalancer([], { routes: [route("a", "web evil")] })],
    ["balance", loadBalancer([backend("web", [], { balance: "roundrobin\nserver evil" })])],
  ] satisfies [string, LoadBalancer][])("refuses a hostile %s", async (_what, hostile) => {
    const template = await loadTemplate();
    const render = () => new Renderer({ paths }).render(hostile, settings(), template);
    expect(render).toThrow(expect.objectContaining({ code: "ERR_VALUE_UNSAFE" }));
  });
});

describe("what is remembered", () => {
  /** Counts how often the part is run: templates are programs, see docs/template.md. */
  const counting = (name: string) => ({
    "backend.njk":
      `{{ range.constructor("globalThis.${name} = (globalThis.${name} ?? 0) + 1; return ''")() }}` +
      'backend {{ b.name }}\n  http-request set-path %[path,map({{ mapFile(b.name ~ ".map", b.servers, "name", "port") }})]\n',
  });
  const counted = (name: string) => (globalThis as unknown as Record<string, number | undefined>)[name];
  const main = "{% for b in backends %}{{ backend(b) }}{% endfor %}";
  const a = backend("a", [server("s1", "10.0.0.1", 80)]);
  const b = backend("b", [server("s1", "10.0.0.2", 80)]);

  test("an unchanged backend is not rendered again, its files are still there, and a changed one is rendered", async () => {
    const renderer = new Renderer({ paths });
    const template = await templateOf(main, counting("rendersKept"));
    const first = renderer.render(loadBalancer([a, b]), settings(), template);
    expect(counted("rendersKept")).toBe(2);
    const again = renderer.render(loadBalancer([a, b]), settings(), template);
    expect(counted("rendersKept")).toBe(2);
    expect(again).toEqual(first);
    expect([...again.maps.values()]).toEqual(["s1 80\n", "s1 80\n"]);
    const changed = backend("b", [server("s1", "10.0.0.2", 81)]);
    expect(
      renderer.render(loadBalancer([a, changed]), settings(), template).maps.get("/var/lib/sluice/maps/b.map"),
    ).toBe("s1 81\n");
    expect(counted("rendersKept")).toBe(3);
  });

  test("settings the part can see make it anew, and so does another template", async () => {
    const renderer = new Renderer({ paths });
    const template = await templateOf(main, counting("rendersAnew"));
    renderer.render(loadBalancer([a]), settings(), template);
    renderer.render(loadBalancer([a]), settings({ http: { domain: "example.org" } }), template);
    expect(counted("rendersAnew")).toBe(2);
    const other = templateFromSources(template.path, { ...template.sources, "main.njk": `# other\n${main}` });
    renderer.render(loadBalancer([a]), settings(), other);
    expect(counted("rendersAnew")).toBe(3);
  });

  test("the same input gives the same output from a renderer that has seen other things", async () => {
    const template = await loadTemplate();
    const used = new Renderer({ paths });
    used.render(loadBalancer([a, b]), settings(), template);
    used.render(loadBalancer([b]), settings({ stats: { path: "/x" } }), template);
    expect(used.render(small, settings(), template)).toEqual(
      new Renderer({ paths }).render(small, settings(), template),
    );
  });

  test("a failure leaves nothing behind", async () => {
    const renderer = new Renderer({ paths });
    const good = await templateOf(main, counting("rendersFailed"));
    const bad = await templateOf('{{ mapFile("left.map", routes, "host", "backend") }}{{ nothing }}');
    expect(() => renderer.render(loadBalancer([a]), settings(), bad)).toThrow();
    expect([...renderer.render(loadBalancer([a]), settings(), good).maps.keys()]).toEqual([
      "/var/lib/sluice/maps/a.map",
    ]);
  });
});

describe("other templates", () => {
  test("one that writes its own loop, with nothing of ours", () => {
    const main =
      "defaults\n  mode http\n{% for b in backends %}\nbackend {{ b.name | token }}\n{% for s in b.servers %}\n" +
      "  server {{ s.name | token }} {{ s.address | host }}:{{ s.port }}\n{% endfor %}\n{% endfor %}";
    const { text, maps, assets } = new Renderer({ paths }).render(
      small,
      settings(),
      templateFromSources("/etc/own.cfg", { "own.cfg": main }),
    );
    expect(text).toBe(
      "defaults\n  mode http\nbackend cache\n  server c1_10.0.1.1:11211 10.0.1.1:11211\n  server c2_10.0.1.2:11211 10.0.1.2:11211\n" +
        "backend web\n  server w1_10.0.0.1:8080 10.0.0.1:8080\n  server w2_fd00::2:8080 [fd00::2]:8080\n  server w3_10.0.0.3:8080 10.0.0.3:8080\n",
    );
    expect([maps.size, assets.size]).toEqual([0, 0]);
  });

  test("one with a server.njk of its own under our backend.njk", async () => {
    const own = "{% macro server(b, s) -%}server {{ s.name | token }} {{ s.address }}:1 {%- endmacro %}";
    const template = await templateOf("{{ backend(backends[1]) }}", { "server.njk": own });
    const { text } = new Renderer({ paths }).render(small, settings(), template);
    expect(text).toContain("  server w1_10.0.0.1:8080 10.0.0.1:1\n");
  });

  test("inheritance: extends, block, super", async () => {
    const parts = { "base.njk": "global\n{% block more %}\n  maxconn 10\n{% endblock %}\n" };
    const template = await templateOf(
      '{% extends "base.njk" %}{% block more %}{{ super() }}  nbthread 1\n{% endblock %}',
      parts,
    );
    expect(new Renderer({ paths }).render(small, settings(), template).text).toBe(
      "global\n  maxconn 10\n  nbthread 1\n",
    );
  });
});
