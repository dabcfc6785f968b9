import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { TemplateSource } from "../../src/reconciler/ports.ts";
import { Renderer } from "../../src/render/renderer.ts";
import { loadTemplate, templateFromSources } from "../../src/render/template-source.ts";
import type { LoadBalancer } from "../../src/routing/types.ts";
import { haproxyBinary } from "../support/binaries.ts";
import { freePort } from "../support/free-port.ts";
import { namedServer, startHaproxy } from "../support/haproxy-process.ts";
import { backend, loadBalancer, server, settings, small } from "../unit/render/fixtures.ts";

interface Example {
  readonly title: string;
  /** The part it takes the place of; undefined: a whole template. */
  readonly part: string | undefined;
  readonly text: string;
}

const document = await readFile(new URL("../../docs/template.md", import.meta.url), "utf8");
const examples = examplesOf(document);
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-docs-"));
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** The njk blocks of a document, each with the heading it stands under and the first file named between the two. */
function examplesOf(markdown: string): readonly Example[] {
  return markdown.split(/^### /m).flatMap((section) => {
    const [head = "", block] = section.split("```njk\n", 2);
    const text = block?.split("```", 1)[0];
    if (text === undefined) return [];
    return [{ title: head.split("\n", 1)[0] ?? "", part: /`([\w-]+\.njk)`/.exec(head)?.[1], text }];
  });
}

/** The template that comes with Sluice, with the example in it. */
async function templateWith({ part, text }: Example): Promise<TemplateSource> {
  const { path, sources } = await loadTemplate();
  const main = path.slice(path.lastIndexOf("/") + 1);
  return templateFromSources(path, { ...sources, [part ?? main]: text });
}

/** Renders into the directory; gives back the configuration's text. */
async function written(template: TemplateSource, balancer: LoadBalancer, given = {}): Promise<string> {
  const paths = {
    directory,
    maps: join(directory, "maps"),
    assets: join(directory, "assets"),
    runtimeSocket: socket(),
  };
  const { text, maps, assets } = new Renderer({ paths }).render(balancer, settings(given), template);
  for (const [path, content] of [...maps, ...assets]) {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
  return text;
}

const socket = () => join(directory, "runtime.sock");

/** What `haproxy -c` says of a rendering: its warnings and errors, none where it is content. */
async function verdict(
  template: TemplateSource,
  balancer = small,
): Promise<{ readonly code: number; readonly problems: readonly string[] }> {
  const text = await written(template, balancer);
  const file = join(directory, "haproxy.cfg");
  await writeFile(file, text);
  const { code, stderr } = await promisify(execFile)(haproxyBinary, ["-c", "-f", file]).then(
    ({ stderr }) => ({ code: 0, stderr }),
    (failed: { code: number; stderr: string }) => failed,
  );
  return { code, problems: stderr.split("\n").filter((line) => /^\[(ALERT|WARNING)\]/.test(line)) };
}

describe("haproxy -c", () => {
  test("accepts the template that comes with Sluice, without a warning", async () => {
    expect(await verdict(await loadTemplate())).toEqual({ code: 0, problems: [] });
  });

  test("accepts other kinds of backends: tcp, each algorithm, none at all", async () => {
    const algorithms = [
      "leastconn",
      "first",
      "random(2)",
      "static-rr",
      "source",
      "uri depth 2",
      "url_param user",
      "hdr(x-user)",
    ];
    const backends = algorithms.map((balance, index) => {
      const one = server("one", "10.0.0.1", 80, { id: index + 1 });
      return backend(`b${index}`, [one], { balance, consistent: index > 3 });
    });
    const tcp = backend("tcp", [server("one", "fd00::1", 5432)], { mode: "tcp" });
    const template = await loadTemplate();
    expect(await verdict(template, loadBalancer([...backends, tcp]))).toEqual({ code: 0, problems: [] });
    expect(await verdict(template, loadBalancer([]))).toEqual({ code: 0, problems: [] });
  });

  test("finds examples in docs/template.md", () => {
    expect(examples.map(({ part }) => part ?? "whole")).toEqual([
      "backend.njk",
      "check.njk",
      "global.njk",
      "frontend-http.njk",
      "whole",
    ]);
  });

  test.each(examples)("accepts the example: $title", async (example) => {
    expect(await verdict(await templateWith(example))).toEqual({ code: 0, problems: [] });
  });

  test("accepts the examples where no time is given to old workers and a service is called anything", async () => {
    const odd = backend("odd", [server("one", "10.0.0.1", 80)], {
      sources: [{ datacenter: "dc1", name: "%[nonsense" }],
    });
    for (const example of examples) {
      expect(await verdict(await templateWith(example), loadBalancer([odd]))).toEqual({ code: 0, problems: [] });
      const text = await written(await templateWith(example), small, { reload: { hardStopAfter: 0 } });
      // 0 would be for ever.
      expect(text).not.toMatch(/hard-stop-after (?!1s\n)/);
    }
  });
});

test("the example with a header sends each service's name as it is, whatever HAProxy could read into it", async () => {
  const names = ["%[env(HOME)]", "100%foo", "%{+Q}o %ci", "it's  %% \\"];
  const port = await freePort();
  const example = examples.find(({ title }) => title.startsWith("A header"));
  if (example === undefined) throw new Error("docs/template.md has no such example any more");
  const template = await templateWith(example);
  const instance = await namedServer("here");
  const backends = names.map((name, index) =>
    backend(`b${index}`, [server("one", "127.0.0.1", instance.port)], { sources: [{ datacenter: "dc1", name }] }),
  );
  const given = { http: { bind: `127.0.0.1:${port}` }, stats: { bind: `127.0.0.1:${await freePort()}` } };
  try {
    const text = await written(template, loadBalancer(backends), given);
    const haproxy = await startHaproxy(text.replaceAll(socket(), "{socket}"));
    try {
      for (const [index, name] of names.entries()) {
        expect(await servedBy(port, `b${index}.service.local`)).toBe(name);
      }
    } finally {
      await haproxy.stop();
    }
  } finally {
    await instance.close();
  }
});

/** The X-Served-By of an answer, which has to be a good one. */
async function servedBy(port: number, host: string): Promise<string | undefined> {
  const call = request({ host: "127.0.0.1", port, headers: { host }, agent: false }).end();
  const [response] = (await once(call, "response")) as [IncomingMessage];
  response.resume();
  await once(response, "end");
  expect(response.statusCode).toBe(200);
  return response.headers["x-served-by"]?.toString();
}

test("the failure shown in docs/template.md is what a template with that mistake gets", async () => {
  const shown = /^frontend-http\.njk:.*$/m.exec(document)?.[0] ?? "";
  const { sources } = await loadTemplate();
  const mistaken = sources["frontend-http.njk"]?.replace("http.bind", "htttp.bind") ?? "";
  const template = templateFromSources("/etc/sluice/template/haproxy.cfg.njk", {
    ...sources,
    "frontend-http.njk": mistaken,
  });
  await expect(verdict(template)).rejects.toMatchObject({ code: "ERR_TEMPLATE_FAILED", message: shown });
});
