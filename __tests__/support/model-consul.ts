import { type FakeAnswer, type FakeConsul, type FakeRequest, healthEntry, startFakeConsul } from "./fake-consul.ts";

/** A small catalog that answers as Consul does: indexes, blocking, and what each change wakes. */
export interface ModelConsul {
  readonly fake: FakeConsul;
  readonly address: string;
  /** Registers a service with these entries of `/v1/health/service/:service` and tags; replaces what was there. */
  set(name: string, entries: readonly object[], options?: { tags?: readonly string[]; meta?: readonly string[] }): void;
  /** The last instance leaves, and the name with it. */
  remove(name: string): void;
  /** The same of a service in another datacenter. `consul` stands there too; a datacenter nobody spoke of has no path to it. */
  setIn(datacenter: string, name: string, entries: readonly object[]): void;
  /** Answers nothing but this status for a datacenter; undefined ends that. */
  cutOff(datacenter: string, status: number | undefined): void;
  /** Writes a key of the key-value store; undefined deletes it. */
  write(key: string, value: string | undefined): void;
  /** Answers one path otherwise from now on; undefined ends that. */
  override(path: string, respond: ((request: FakeRequest) => FakeAnswer | undefined) | undefined): void;
  stop(): Promise<void>;
}

interface ModelService {
  readonly entries: readonly object[];
  readonly tags: readonly string[];
  readonly meta: readonly string[];
  readonly index: number;
}

export async function startModelConsul(agentLimit: number | undefined = 200): Promise<ModelConsul> {
  const fake = await startFakeConsul();
  const services = new Map<string, ModelService>();
  const overrides = new Map<string, (request: FakeRequest) => FakeAnswer | undefined>();
  let index = 10;
  let gone = 10;

  const blocks = (request: FakeRequest, current: number) => Number(request.query["index"] ?? 0) >= current;

  const list = (request: FakeRequest): FakeAnswer | undefined => {
    if (blocks(request, index)) return undefined;
    const filter = request.query["filter"];
    const listed = [...services].filter(
      ([, { meta }]) => filter === undefined || meta.some((key) => filter.includes(`"${key}"`)),
    );
    const body = Object.fromEntries(listed.map(([name, { tags }]) => [name, tags]));
    return { index, body: filter === undefined ? { consul: [], ...body } : body };
  };

  const datacenters = new Map<string, Map<string, { entries: readonly object[]; index: number }>>();
  const statuses = new Map<string, number>();
  const elsewhere = (datacenter: string, name: string, request: FakeRequest): FakeAnswer | undefined => {
    const listed = datacenters.get(datacenter);
    const status = statuses.get(datacenter);
    if (status !== undefined || listed === undefined) return { status: status ?? 500, body: "No path to datacenter" };
    const service = listed.get(name);
    const current = service?.index ?? 10;
    return blocks(request, current) ? undefined : { index: current, body: service?.entries ?? [] };
  };

  const values = new Map<string, string>();
  let valuesIndex = 10;
  const kv = (request: FakeRequest): FakeAnswer | undefined => {
    if (blocks(request, valuesIndex)) return undefined;
    const prefix = decodeURIComponent(request.path.slice("/v1/kv/".length));
    const found = [...values].filter(([key]) => key.startsWith(prefix));
    const body = found.map(([Key, value]) => ({ Key, Value: Buffer.from(value).toString("base64") }));
    return body.length === 0 ? { status: 404, index: valuesIndex, body: "" } : { index: valuesIndex, body };
  };

  const health = (request: FakeRequest): FakeAnswer | undefined => {
    const { dc } = request.query;
    if (dc !== undefined && dc !== "dc1") {
      return elsewhere(dc, decodeURIComponent(request.path.slice("/v1/health/service/".length)), request);
    }
    const name = decodeURIComponent(request.path.slice("/v1/health/service/".length));
    const service = services.get(name);
    const current = service?.index ?? gone;
    return blocks(request, current) ? undefined : { index: current, body: service?.entries ?? [] };
  };

  fake.always("*", (request) => {
    const override = overrides.get(request.path);
    if (override !== undefined) return override(request);
    if (request.path === "/v1/catalog/services") return list(request);
    if (request.path.startsWith("/v1/health/service/")) return health(request);
    if (request.path.startsWith("/v1/kv/")) return kv(request);
    if (request.path === "/v1/agent/self") {
      return { body: { Config: { Datacenter: "dc1" }, DebugConfig: { HTTPMaxConnsPerClient: agentLimit } } };
    }
    if (request.path === "/v1/status/leader") return { body: '"127.0.0.1:8300"' };
    if (request.path === "/v1/agent/members") return { body: [] };
    return { status: 404, body: "" };
  });

  return {
    fake,
    address: fake.address,
    set: (name, entries, options = {}) => {
      index += 1;
      services.set(name, { entries, tags: options.tags ?? ["haproxy.enable=true"], meta: options.meta ?? [], index });
      fake.reconsider();
    },
    remove: (name) => {
      index += 1;
      gone = index;
      services.delete(name);
      fake.reconsider();
    },
    setIn: (datacenter, name, entries) => {
      index += 1;
      const listed =
        datacenters.get(datacenter) ?? new Map([["consul", { entries: [healthEntry("consul", "consul")], index }]]);
      datacenters.set(datacenter, listed);
      listed.set(name, { entries, index });
      fake.reconsider();
    },
    cutOff: (datacenter, status) => {
      if (status === undefined) statuses.delete(datacenter);
      else statuses.set(datacenter, status);
      fake.reconsider();
    },
    write: (key, value) => {
      valuesIndex += 1;
      if (value === undefined) values.delete(key);
      else values.set(key, value);
      fake.reconsider();
    },
    override: (path, respond) => {
      if (respond === undefined) overrides.delete(path);
      else overrides.set(path, respond);
      fake.reconsider();
    },
    stop: () => fake.stop(),
  };
}
