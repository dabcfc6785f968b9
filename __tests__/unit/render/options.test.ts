import { beforeAll, describe, expect, test } from "@jest/globals";
import type { TemplateSource } from "../../../src/reconciler/ports.ts";
import { Renderer } from "../../../src/render/renderer.ts";
import { loadTemplate } from "../../../src/render/template-source.ts";
import type { Backend } from "../../../src/routing/types.ts";
import type { InstanceOptions, ServiceOptions } from "../../../src/settings/options/table.ts";
import { backend, loadBalancer, paths, server, settings, templateOf } from "./fixtures.ts";

let template: TemplateSource;

beforeAll(async () => {
  template = await loadTemplate();
});

const authorities = [{ name: "internal.pem", text: "PEM" }];

function rendered(more: Partial<Backend>, options: InstanceOptions = {}, haproxyVersion = "2.6.12") {
  const renderer = new Renderer({ paths, haproxyVersion, material: { auth: [], authorities } });
  const one = backend("web", [server("a_10.0.0.1:80", "10.0.0.1", 80, { options })], more);
  return renderer.render(loadBalancer([one]), settings(), template);
}

/** The lines of the backend, but for its header, the choice of a server and the server itself. */
function lines(options: ServiceOptions, more: Partial<Backend> = {}): readonly string[] {
  return section(rendered({ options, ...more }).text)
    .slice(1)
    .filter((line) => !/^(server|use-server|#) /.test(line));
}

function section(text: string): readonly string[] {
  const all = text.split("\n");
  const from = all.findIndex((line) => line.startsWith("backend web "));
  const to = all.findIndex((line, index) => index > from && !line.startsWith("  "));
  return all.slice(from, to).map((line) => line.trim());
}

function serverLine(options: InstanceOptions, more: Partial<Backend> = {}, haproxyVersion?: string): string {
  return section(rendered(more, options, haproxyVersion).text).find((line) => line.startsWith("server ")) ?? "";
}

describe("a backend", () => {
  test("of a service that asks for nothing has nothing but servers where HAProxy makes such a one at run time", () => {
    expect(section(rendered({}, {}, "3.4.0").text)).toEqual([
      "backend web from sluice_backend_http",
      "server a_10.0.0.1:80 10.0.0.1:80 weight 1",
    ]);
    expect(section(rendered({ picks: true }, {}, "3.4.0").text)).toHaveLength(3);
  });

  test.each(["2.6.12", "3.2.26"])("of HAProxy %s can send a request to one server", (version) => {
    expect(section(rendered({}, {}, version).text)).toContain(
      "use-server %[var(txn.sluice_server)] if { var(txn.sluice_server) -m found }",
    );
  });

  test("in mode tcp has the defaults of that mode, and only what that mode can do", () => {
    const options: ServiceOptions = { sticky: "S", compression: ["a/b"], "error-page": "x", "timeout.server": 1_000 };
    expect(section(rendered({ mode: "tcp", options }).text)).toEqual([
      "backend web from sluice_backend_tcp",
      "timeout server 1s",
      "server a_10.0.0.1:80 10.0.0.1:80 weight 1",
    ]);
  });

  test.each<readonly [string, ServiceOptions, readonly string[]]>([
    ["retries", { retries: 0 }, ["retries 0"]],
    [
      "timeouts",
      { "timeout.connect": 2_000, "timeout.queue": 1_500, "timeout.server": 300_000, "timeout.tunnel": 1 },
      ["timeout connect 2s", "timeout queue 1500ms", "timeout server 5m", "timeout tunnel 1ms"],
    ],
    ["no check", { check: "off", "check.interval": 5_000 }, ["default-server no-check"]],
    ["an interval", { "check.interval": 5_000 }, ["default-server inter 5s"]],
    [
      "a check of http",
      { check: "http" },
      [
        "option httpchk",
        "http-check send meth GET uri / ver HTTP/1.1 hdr Host web.service.local",
        "http-check expect status 200-399",
      ],
    ],
    [
      "all about it",
      {
        check: "http",
        "check.path": "/a b%[x]",
        "check.method": "HEAD",
        "check.status": "200,204",
        "check.host": "h",
      } as ServiceOptions,
      [
        "option httpchk",
        "http-check send meth HEAD uri '/a b%[x]' ver HTTP/1.1 hdr Host h",
        "http-check expect status 200,204",
      ],
    ],
    ["compression", { compression: ["text/html", "a/*"] }, ["compression algo gzip", "compression type text/html a/*"]],
    ["a cookie", { sticky: "S" }, ["cookie S insert indirect nocache httponly dynamic", "dynamic-cookie-key web"]],
    [
      "headers, in which nothing is evaluated",
      {
        "request-header.set": [{ name: "#a", value: "%[env(HOME)] $x" }],
        "request-header.add": [{ name: "b", value: '"' }],
        "request-header.del": ["c"],
        "response-header.set": [{ name: "d", value: "1" }],
        "response-header.add": [{ name: "e", value: "2" }],
        "response-header.del": ["f"],
      },
      [
        "http-request del-header c",
        "http-request set-header '#a' '%%[env(HOME)] $x'",
        "http-request add-header b '\"'",
        "http-response del-header f",
        "http-response set-header d 1",
        "http-response add-header e 2",
      ],
    ],
  ])("%s", (_what, options, expected) => expect(lines(options)).toEqual(expected));

  test("a check of gRPC", () => {
    const [option, send, expected] = lines({ check: "grpc", "check.service": "a.B" });
    expect(option).toBe("option tcp-check");
    expect(send).toMatch(/^tcp-check send-binary 505249[0-9a-f]+$/);
    expect(expected).toMatch(/^tcp-check expect rbinary \S+$/);
  });

  test("an error page that is there; one that is not is left out, and said", async () => {
    expect(lines({ "error-page": "404" })).toEqual([expect.stringMatching(/^errorfile 503 \S+\/404\.\w+\.http$/)]);
    expect(rendered({ options: { "error-page": "404" } }).excluded).toEqual([]);
    const { excluded } = rendered({ options: { "error-page": "gone" } });
    expect(lines({ "error-page": "gone" })).toEqual([]);
    expect(excluded).toEqual([
      { service: "web", code: "option-unusable", reason: expect.stringContaining("errors/gone.http") },
    ]);
  });
});

describe("a server", () => {
  const plain = "server a_10.0.0.1:80 10.0.0.1:80 weight 1";

  test.each<readonly [string, InstanceOptions, string]>([
    ["maxconn", { maxconn: 5 }, " maxconn 5"],
    ["a backup", { backup: true }, " backup"],
    ["the PROXY protocol", { "proxy-protocol": "v1" }, " send-proxy"],
    ["the PROXY protocol, version 2", { "proxy-protocol": "v2" }, " send-proxy-v2"],
    ["HTTP/2", { protocol: "h2" }, " proto h2"],
    ["TLS", { tls: true }, " ssl verify required ca-file @system-ca"],
    ["TLS that verifies nothing", { tls: true, "tls.verify": "none", "tls.ca": "gone.pem" }, " ssl verify none"],
    [
      "HTTP/2 over TLS, by name",
      { tls: true, protocol: "h2", "tls.sni": "a.b" },
      " ssl verify required ca-file @system-ca sni str(a.b) check-sni a.b verifyhost a.b alpn h2 check-alpn h2",
    ],
    [
      "TLS by the request's host",
      { tls: true, "tls.sni": "host" },
      " ssl verify required ca-file @system-ca sni req.hdr(host),host_only",
    ],
  ])("%s", (_what, options, expected) => expect(serverLine(options)).toBe(`${plain}${expected}`));

  test("HAProxy 3.3 and later asks for no name of its own accord", () => {
    expect(serverLine({ tls: true }, {}, "3.4.0")).toMatch(/ no-sni-auto no-check-sni-auto$/);
    expect(serverLine({ tls: true, "tls.sni": "host" }, {}, "3.4.0")).not.toContain(" no-sni-auto");
    expect(serverLine({ tls: true, "tls.sni": "a" }, {}, "3.4.0")).not.toContain("sni-auto");
  });

  test("in mode tcp speaks no HTTP/2 of ours", () => {
    expect(serverLine({ protocol: "h2" }, { mode: "tcp" })).toBe(plain);
  });

  test("names a file of authorities by the path of its copy, which the configuration has loaded", () => {
    const line = serverLine({ tls: true, "tls.ca": "internal.pem" });
    const [, path] = / ca-file (\S+)$/.exec(line) ?? [];
    expect(path).toMatch(/\/internal\.\w+\.pem$/);
    const { text, assets } = rendered({});
    expect(assets.get(path ?? "")).toBe("PEM");
    expect(text).toContain(`  server sluice_1 127.0.0.1:1 disabled no-check ssl verify required ca-file ${path}`);
  });

  test("is left out, and named, where its authorities are not there: nothing is trusted instead", () => {
    const { text, excluded } = rendered({}, { tls: true, "tls.ca": "gone.pem" });
    expect(text).not.toContain("server a_10.0.0.1:80");
    expect(excluded).toEqual([
      {
        service: "web",
        instance: "node-1/a_10.0.0.1:80",
        code: "option-unusable",
        reason: expect.stringContaining("tls.ca=gone.pem"),
      },
    ]);
  });
});

test("what a template says it left out stays said while the backend's text is kept", async () => {
  const source = await templateOf("{% for b in backends %}{{ backend(b) }}{% endfor %}", {
    "backend.njk": 'backend {{ b.name }}\n{{ leaveOut(b, "nothing of it fits") }}',
  });
  const renderer = new Renderer({ paths });
  const balancer = loadBalancer([backend("web", [])]);
  const expected = [{ service: "web", code: "option-unusable", reason: "nothing of it fits" }];
  expect(renderer.render(balancer, settings(), source).excluded).toEqual(expected);
  expect(renderer.render(balancer, settings(), source).excluded).toEqual(expected);
});

test.each(["{{ leaveOut(1, 2) }}", '{{ haproxyAtLeast("three") }}', "{{ grpcHealthCheck(1) }}"])(
  "%s is told how it is written",
  async (text) => {
    const source = await templateOf(text);
    expect(() => new Renderer({ paths }).render(loadBalancer([]), settings(), source)).toThrow(
      expect.objectContaining({ code: "ERR_TEMPLATE_FAILED", message: expect.stringContaining("write ") }),
    );
  },
);
