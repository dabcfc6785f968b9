import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { parse } from "yaml";
import { loadSettings } from "../../../src/settings/load.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const read = (file: string) => readFileSync(`${root}${file}`, "utf8");

interface Service {
  readonly image: string;
  readonly profiles?: readonly string[];
  readonly build?: { readonly context: string; readonly dockerfile?: string; readonly target?: string };
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly depends_on?: readonly string[];
  readonly privileged?: boolean;
  readonly cap_drop?: readonly string[];
}

interface ComposeFile {
  readonly version?: string;
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes?: object;
}

const files = ["compose.yml", "docker/compose.all-in-one.yml"] as const;
const text = files.map(read).join("\n");
const compose = parse(read("compose.yml"), { merge: true }) as ComposeFile;
const { services } = compose;
const docs = read("docs/containers.md");

/** `${NAME:-default}` of compose.yml as compose reads it without variables. */
const withDefaults = (value: string) => value.replace(/\$\{\w+:-([^}]*)\}/g, "$1");
const environmentOf = (name: string) =>
  Object.fromEntries(
    Object.entries(services[name]?.environment ?? {}).map(([key, value]) => [key, withDefaults(String(value))]),
  );

describe("compose.yml", () => {
  test("is for docker-compose 1.29 and for docker compose: without a version", () => {
    expect(compose.version).toBeUndefined();
  });

  test.each([
    ["lb", "operator", "web", "http://consul:8500"],
    ["cluster-lb", "cluster-operator", "api", "http://cluster-agent:8500"],
  ])("%s and %s have the same settings, volume and image", (lb, operator, service, consul) => {
    expect(environmentOf(lb)).toEqual(environmentOf(operator));
    expect(services[lb]?.volumes).toEqual(services[operator]?.volumes);
    expect(services[lb]?.build).toEqual(services[operator]?.build);
    const { settings } = loadSettings({ env: environmentOf(operator), flags: {}, workingDirectory: "/" });
    expect(settings).toMatchObject({
      consul: { address: consul },
      haproxy: { mode: "external", directory: "/var/lib/sluice" },
      http: { defaultService: service },
      stats: { user: "admin", password: "admin" },
      services: { expose: "all" },
    });
  });

  test("no container has rights that it does not say", () => {
    for (const [name, { privileged, cap_drop }] of Object.entries(services)) {
      expect({ name, privileged, cap_drop }).toEqual({ name, privileged: undefined, cap_drop: ["ALL"] });
    }
  });

  test("what a service needs is started with it: of its own profiles, or of none", () => {
    for (const [name, { profiles = [], depends_on = [] }] of Object.entries(services)) {
      for (const needed of depends_on) {
        const theirs = services[needed]?.profiles ?? profiles;
        expect({ name, needed, theirs }).toEqual({ name, needed, theirs: expect.arrayContaining([...profiles]) });
        if (profiles.length === 0) expect(services[needed]?.profiles).toBeUndefined();
      }
    }
  });

  test("each target is a stage of its Dockerfile, and no image stands on another one of ours", () => {
    for (const { build } of Object.values(services)) {
      const file = read(build?.dockerfile ?? `${build?.context}/Dockerfile`);
      const stages = [...file.matchAll(/^FROM (\S+)(?: AS (\S+))?$/gm)];
      const names = stages.map(([, , name]) => name);
      if (build?.target !== undefined) expect(names).toContain(build.target);
      for (const [, from = ""] of stages) {
        if (!/^\$\{(?:DEBIAN|CONSUL)_IMAGE\}$/.test(from)) expect(names).toContain(from);
      }
    }
  });
});

describe("what docs/containers.md says", () => {
  const variables = [...text.matchAll(/\$\{(\w+):-([^}]*)\}/g)].map(([, name = "", value = ""]) => [name, value]);

  test("there are variables", () => expect(variables.length).toBeGreaterThanOrEqual(10));

  test.each(variables)("the variable %s with its default %s stands in the table", (name, value) => {
    const row = docs.split("\n").find((line) => line.startsWith("|") && line.includes(`\`${name}\``)) ?? "";
    expect(row).toContain(`\`${value}\``);
  });

  const commands = [...docs.matchAll(/docker compose [^`\n]*/g)].map(([line]) => line.replace(/\s+#.*/, "").trim());

  test.each(commands)("%s names services, profiles and files that there are", (line) => {
    const profiles = Object.values(services).flatMap((service) => service.profiles ?? []);
    for (const [, profile] of line.matchAll(/--profile (\S+)/g)) expect(profiles).toContain(profile);
    for (const [, service] of line.matchAll(/--scale (\w+)=/g)) expect(Object.keys(services)).toContain(service);
    for (const [, file] of line.matchAll(/-f (\S+\.yml)/g)) expect(files).toContain(file);
    const named = line.match(/ (?:exec|build|stop|logs -f|--no-deps|--force-recreate) ([a-z][\w-]*(?: lb)?)/)?.[1];
    for (const service of named === "sluice" ? [] : (named?.split(" ") ?? [])) {
      expect(Object.keys(services)).toContain(service);
    }
  });
});
