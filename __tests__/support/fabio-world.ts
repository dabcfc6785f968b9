import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type MadeCertificate, makeCertificate } from "./certificates.ts";
import { type Asked, ask, askHttp2, type Came } from "./fabio-client.ts";
import { type Example, type ExampleTag, grouped } from "./fabio-examples.ts";
import { freePort } from "./free-port.ts";
import { OptionsScene } from "./options-scene.ts";
import type { ServiceInstance, ServiceInstanceOptions } from "./service-instance.ts";
import { eventually } from "./sluice.ts";
import { statusNow } from "./system.ts";

const run = promisify(execFile);

/** One Consul, one operator and one HAProxy for all examples; each example's services come and go. */
export class FabioWorld {
  readonly scene: OptionsScene;
  private readonly httpsPort: number;
  /** Ports as the page has them, and those that are free here. */
  private readonly ports = new Map<string, number>();
  private readonly certificate: MadeCertificate;
  private count = 0;

  private constructor(scene: OptionsScene, httpsPort: number, sniPort: number, certificate: MadeCertificate) {
    this.scene = scene;
    this.httpsPort = httpsPort;
    this.ports.set("8443", sniPort);
    this.certificate = certificate;
  }

  static async begin(): Promise<FabioWorld> {
    const [httpsPort, sniPort] = [await freePort(), await freePort()];
    const certificate = await makeCertificate({ names: ["localhost"] });
    const scene = await OptionsScene.begin(async (home) => {
      const [users, certificates] = [path.join(home.directory, "users"), path.join(home.directory, "certificates")];
      await writeFile(users, `ann:${(await run("openssl", ["passwd", "-5", "secret"])).stdout.trim()}\n`);
      await mkdir(certificates);
      await writeFile(path.join(certificates, "all.pem"), (await makeCertificate({ names: ["all.test"] })).pem);
      return {
        auth: { mybasicauth: { file: users } },
        https: { bind: `127.0.0.1:${httpsPort}`, certificates },
        tcp: { bind: "127.0.0.1" },
        // What is over must not answer for what comes after it.
        services: { remember: "0s", fabioSniPorts: String(sniPort) },
        reload: { minInterval: "10ms" },
        guard: { holdFor: "1ms" },
      };
    });
    return new FabioWorld(scene, httpsPort, sniPort, certificate);
  }

  /** Registers what the example's tags say, checks each of its requests, and takes all of it away again. */
  async run(example: Example): Promise<void> {
    this.count += 1;
    const prefix = `e${this.count}`;
    await this.freshPorts(example);
    const instances = new Map<string, ServiceInstance>();
    try {
      for (const [name, tags] of grouped(example.tags, ({ instance }) => instance)) {
        instances.set(name, await this.join(prefix, tags));
      }
      await eventually("the example is there", async () => {
        const { services } = (await statusNow(this.scene.home)).reconciler;
        return [...instances.keys()].every((name) =>
          services.some((one) => one.name === `${prefix}-${name.charAt(0)}`),
        );
      });
      for (const { request: text, answer } of example.steps) await this.check(text, answer, instances);
      // Once more, now that all has settled.
      for (const { request: text, answer } of example.steps) await this.check(text, answer, instances);
    } finally {
      for (const instance of instances.values()) {
        await this.scene.remove(instance.name);
        await instance.stop();
      }
      await eventually("the example is gone", async () => {
        const { services } = (await statusNow(this.scene.home)).reconciler;
        return !services.some(({ name }) => name.startsWith(`${prefix}-`));
      });
    }
  }

  end(): Promise<void> {
    return this.scene.end();
  }

  private async join(prefix: string, tags: readonly ExampleTag[]): Promise<ServiceInstance> {
    const [first] = tags;
    if (first === undefined) throw new Error("an instance without tags");
    const instance = await this.scene.start(`${prefix}-${first.instance}`, this.kindOf(tags));
    const written = tags.map(({ tag }) => this.withPorts(tag));
    await this.scene.join(`${prefix}-${first.service}`, written, instance);
    return instance;
  }

  /** What an instance is that has such tags. */
  private kindOf(tags: readonly ExampleTag[]): ServiceInstanceOptions {
    const { certificate } = this;
    const all = tags.map(({ tag }) => tag).join(" ");
    if (all.includes("proto=grpcs")) return { protocol: "h2", certificate };
    if (all.includes("proto=https") || /urlprefix-[a-z.]+\/ proto=tcp/.test(all))
      return { protocol: "https", certificate };
    if (all.includes("proto=grpc")) return { protocol: "h2c" };
    return { proxyProtocol: all.includes("pxyproto=true") };
  }

  private async freshPorts({ tags }: Example): Promise<void> {
    for (const { tag } of tags) {
      const port = /^urlprefix-(?:127\.0\.0\.1)?:(\d{4})\b/.exec(tag)?.[1];
      if (port !== undefined) this.ports.set(port, await freePort());
    }
  }

  /** Ports of HAProxy's own, as they are here; those of Host headers stay. */
  private withPorts(text: string): string {
    return text.replace(/(?<=^urlprefix-(?:127\.0\.0\.1)?:|^t(?:cp|ls \S+) :)(\d{4})\b/, (port) =>
      String(this.ports.get(port) ?? port),
    );
  }

  private async check(text: string, answer: string, instances: ReadonlyMap<string, ServiceInstance>): Promise<void> {
    const shares = /^(\d+) × (.*)$/.exec(text);
    if (shares !== null) return this.checkShares(Number(shares[1]), this.asked(shares[2] ?? ""), answer, instances);
    let came = "";
    const deadline = Date.now() + 20_000;
    while (Date.now() < deadline) {
      came = await this.answerTo(text, answer, instances).catch((thrown) => String(thrown));
      if (came === answer) return;
      await sleep(20);
    }
    throw new Error(`${text}: expected ${answer}, got ${came}`);
  }

  /** What is answered, as far as the expected answer says it. */
  private async answerTo(
    text: string,
    answer: string,
    instances: ReadonlyMap<string, ServiceInstance>,
  ): Promise<string> {
    if (text === "status") {
      const { excluded } = (await statusNow(this.scene.home)).reconciler;
      const tag = answer.slice("named ".length);
      return excluded.some(({ reason }) => reason.includes(tag)) ? answer : JSON.stringify(excluded);
    }
    const registered = /^consul (\S+)$/.exec(text)?.[1];
    if (registered !== undefined) {
      const found = (await this.scene.consul.get(`/v1/catalog/service/${registered}`)) as readonly {
        readonly ServicePort: number;
      }[];
      return found.some(({ ServicePort }) => ServicePort === this.scene.home.httpPort)
        ? "registered"
        : "not registered";
    }
    const question = this.asked(text);
    const came = await (question.kind === "grpc" ? askHttp2(question) : ask(question)).catch((thrown): Came => {
      if (question.kind === "tcp" || question.kind === "tls") return { status: 0, body: "" };
      throw thrown;
    });
    if (came.status === 0) return "cut";
    if (came.location !== undefined) return `${came.status} ${came.location}`;
    if (came.status !== 200) return String(came.status);
    const [name, instance] = [...instances].find(([, one]) => one.name === came.body) ?? [];
    if (name === undefined || instance === undefined) return `somebody else: ${came.body}`;
    const seen = instance.seen.at(-1);
    const extras: string[] = [];
    if (answer.endsWith(" dst")) extras.push(seen?.host === `127.0.0.1:${instance.port}` ? "dst" : String(seen?.host));
    else if (/ PROXY /.test(answer)) extras.push((instance.proxyHeaders.at(-1) ?? "").split(" ").slice(0, 3).join(" "));
    else if (/ sni /.test(answer)) extras.push(`sni ${seen?.sni}`);
    else if (answer.split(" ").length > 2) extras.push(String(seen?.host));
    return [name, seen?.path, ...extras].join(" ");
  }

  /** Each instance gets its part, within what chance allows (5 standard deviations). */
  private async checkShares(
    requests: number,
    question: Asked,
    answer: string,
    instances: ReadonlyMap<string, ServiceInstance>,
  ): Promise<void> {
    const expected = new Map(
      answer.split(", ").map((part) => {
        const [name = "", percent = ""] = part.split(" ");
        return [name, Number.parseInt(percent, 10) / 100] as const;
      }),
    );
    const names = new Map([...instances].map(([name, { name: body }]) => [body, name]));
    let counted: Record<string, number> = {};
    const deadline = Date.now() + 30_000;
    while (Date.now() < deadline) {
      counted = {};
      for (let done = 0; done < requests; done += 1) {
        const came = await ask(question).catch(() => undefined);
        const name = came?.status === 200 ? (names.get(came.body) ?? "?") : String(came?.status);
        counted[name] = (counted[name] ?? 0) + 1;
        // Not all are there yet.
        if (!expected.has(name)) break;
      }
      const all = Object.entries(counted);
      const fits = [...expected].every(([name, share]) => {
        const deviation = Math.sqrt(requests * share * (1 - share));
        return Math.abs((counted[name] ?? 0) - requests * share) <= 5 * deviation + 0.01 * requests;
      });
      if (fits && all.every(([name]) => expected.has(name))) return;
      await sleep(100);
    }
    throw new Error(`expected ${answer} of ${requests}, got ${JSON.stringify(counted)}`);
  }

  private asked(text: string): Asked {
    const [, words = "", from] = /^(.*?)(?: from (\S+))?$/.exec(this.withPorts(text)) ?? [];
    const [, plain = "", auth] = /^(.*?)(?: as (\S+))?$/.exec(words) ?? [];
    const more = { ...(from !== undefined && { from }), ...(auth !== undefined && { auth }) };
    const { httpPort } = this.scene.home;
    const tcp = /^(tcp|tls)(?: (\S+))? :(\d+)(\/\S*)$/.exec(plain);
    if (tcp !== null) {
      const [, kind, host = "localhost", port, path = "/"] = tcp;
      return { kind: kind as "tcp" | "tls", host, port: Number(port), path, ...more };
    }
    const [, kind = "http", host = "", pathText = "/", dsthost] =
      /^(?:(grpc) |(?:https:\/\/(?=.)))?([^/\s]*)(\/\S*)(?: dsthost (\S+))?$/.exec(plain) ?? [];
    if (plain.startsWith("https://")) return { kind: "https", host, port: this.httpsPort, path: pathText, ...more };
    return {
      kind: kind as "http" | "grpc",
      host: host === "" ? "localhost" : host,
      port: httpPort,
      path: pathText,
      ...(dsthost !== undefined && { headers: { dsthost } }),
      ...more,
    };
  }
}
