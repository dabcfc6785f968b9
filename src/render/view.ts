import type { z } from "zod";
import type { Backend, LoadBalancer, MapRow, Route, RouteMaps } from "../routing/types.ts";
import type { Settings } from "../settings/schema.ts";
import { SluiceError } from "../support/errors.ts";
import type { Material } from "./types.ts";
import { type BackendView, backend, route, row, type Surroundings, type View, viewSchema } from "./view-schema.ts";

type Rest = Pick<View, "routes" | "maps" | "listeners" | "excluded">;
/** What settings and files of people make of a view. */
type Fixed = Surroundings & Pick<View, "https" | "auth" | "tcp" | "accessLog">;

const fixedSchema = viewSchema.pick({
  http: true,
  https: true,
  tcp: true,
  accessLog: true,
  tls: true,
  auth: true,
  stats: true,
  sluice: true,
  haproxy: true,
});
const restSchema = viewSchema.pick({ listeners: true, excluded: true });

export interface ViewFacts {
  readonly directory: string;
  readonly runtimeSocket: string;
  readonly version: string;
}

/** Files of people as a view shows them: authorities by the paths of their copies. */
export interface ViewMaterial extends Pick<Material, "certificateList" | "auth"> {
  readonly authorities: readonly { readonly name: string; readonly path: string }[];
}

const noViewMaterial: ViewMaterial = { auth: [], authorities: [] };

/** Makes views, and remembers each backend's part of it for as long as the backend is the very same object. */
export class Viewer {
  readonly #facts: ViewFacts;
  readonly #known = new WeakMap<Backend, BackendView>();
  readonly #knownRoutes = new WeakMap<Route, View["routes"][number]>();
  readonly #knownRows = new WeakSet<MapRow>();
  #haproxyVersion: string | undefined;
  #material: ViewMaterial = noViewMaterial;
  /** The last view's parts, with what they were made of: most changes are of servers and leave them as they are. */
  #lastFixed: { settings: Settings; defaultBackend: string | undefined; awaited: boolean; made: Fixed } | undefined;
  #lastRest: { from: LoadBalancer; made: Rest } | undefined;

  /** @param haproxyVersion undefined where HAProxy cannot be asked */
  constructor(facts: ViewFacts, haproxyVersion: string | undefined) {
    this.#facts = facts;
    this.#haproxyVersion = haproxyVersion;
  }

  /** Views are of another HAProxy from now on. */
  set haproxyVersion(text: string) {
    this.#haproxyVersion = text;
    this.#lastFixed = undefined;
  }

  /** Other files of people from now on. */
  set material(material: ViewMaterial) {
    this.#material = material;
    this.#lastFixed = undefined;
  }

  /**
   * The view of a load balancer: checked, plain, frozen to the last field. A control character in what people may name
   * freely in Consul (nodes, ServiceIDs, services) is shown as U+FFFD, so that no value can end a line of haproxy.cfg; so
   * is half a character (a lone surrogate), which `quote` would refuse, and the whole rendering with it.
   *
   * @throws SluiceError ERR_VALUE_UNSAFE naming the field
   */
  view(loadBalancer: LoadBalancer, settings: Settings): View {
    return Object.freeze({
      backends: Object.freeze(loadBalancer.backends.map((one) => this.#backend(one))) as BackendView[],
      ...this.#rest(loadBalancer),
      ...this.#fixed(loadBalancer, settings),
    });
  }

  #rest(from: LoadBalancer): Rest {
    const last = this.#lastRest;
    if (last !== undefined && sameRest(last.from, from)) return last.made;
    const { routes, maps, listeners, excluded } = from;
    const made = Object.freeze({
      ...checked(restSchema, "the routes", { listeners, excluded: excluded.map((one) => cleaned(one)) }),
      routes: Object.freeze(routes.map((one) => this.#route(one))) as View["routes"],
      maps: this.#maps(maps),
    });
    this.#lastRest = { from, made };
    return made;
  }

  /** A route is looked at once, however many others change. */
  #route(from: Route): View["routes"][number] {
    let made = this.#knownRoutes.get(from);
    if (made === undefined) {
      const { host, path, targets } = from;
      const [largest] = targets.toSorted((a, b) => b.share - a.share);
      made = checked(route, "the routes", { host, path, backend: largest?.backend ?? "" });
      this.#knownRoutes.set(from, made);
    }
    return made;
  }

  /** The maps as they are, frozen; a row is looked at once. */
  #maps(from: RouteMaps): View["maps"] {
    for (const [name, list] of Object.entries(from) as [string, readonly MapRow[]][]) {
      for (const one of list) {
        if (this.#knownRows.has(one)) continue;
        checked(row, `maps.${name}`, one);
        this.#knownRows.add(Object.freeze(one));
      }
      Object.freeze(list);
    }
    return Object.freeze(from) as View["maps"];
  }

  #fixed(loadBalancer: LoadBalancer, settings: Settings): Fixed {
    const { defaultBackend } = loadBalancer;
    const awaited = loadBalancer.defaultAwaited === true;
    const last = this.#lastFixed;
    const known = last?.settings === settings && last.defaultBackend === defaultBackend && last.awaited === awaited;
    if (known) return last.made;
    const { directory, runtimeSocket, version } = this.#facts;
    const haproxyVersion = this.#haproxyVersion;
    const { certificateList, authorities, auth } = this.#material;
    const { https } = settings;
    const made = checked(fixedSchema, "the settings", {
      ...(https.bind !== undefined &&
        certificateList !== undefined && {
          https: {
            bind: https.bind.split(","),
            port: firstPort(https.bind),
            certificates: certificateList,
            minVersion: https.minVersion,
          },
        }),
      tcp: {
        bind: settings.tcp.bind
          .split(",")
          .map(withoutBrackets)
          .filter((address) => address !== ""),
      },
      accessLog: settings.accessLog,
      tls: { authorities },
      auth,
      http: {
        bind: settings.http.bind.split(","),
        domain: settings.http.domain,
        trustedProxies: settings.http.trustedProxies?.split(",") ?? [],
        acceptProxy: settings.http.acceptProxy?.split(",") ?? [],
        ...(defaultBackend !== undefined && { defaultBackend }),
        defaultAwaited: awaited,
      },
      stats: {
        bind: settings.stats.bind.split(","),
        path: settings.stats.path,
        user: settings.stats.user,
        password: settings.stats.password,
      },
      sluice: { directory, runtimeSocket, hardStopAfterMs: settings.reload.hardStopAfter, version },
      ...(haproxyVersion !== undefined && { haproxy: { version: haproxyVersion } }),
    });
    this.#lastFixed = { settings, defaultBackend, awaited, made };
    return made;
  }

  #backend(from: Backend): BackendView {
    const known = this.#known.get(from);
    if (known !== undefined) return known;
    const { name, mode, balance, consistent, servers, sources, options, picks } = from;
    const made = checked(backend, `backend ${JSON.stringify(name)}`, {
      name,
      mode,
      balance,
      consistent,
      servers: servers.map(({ instance, ...one }) => ({
        ...one,
        node: cleanText(instance.node),
        instanceId: cleanText(instance.id),
      })),
      sources: sources.map((one) => cleaned(one)),
      options,
      picks,
    });
    this.#known.set(from, made);
    return made;
  }
}

/** The port of the first of several addresses; 443 where it has none that can be told. */
function firstPort(bind: string): number {
  return Number(/^[^,]*:(\d{1,5})(?:-\d+)?(?:,|$)/.exec(bind)?.[1] ?? 443);
}

function checked<S extends z.ZodType>(schema: S, what: string, value: unknown): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return frozen(result.data);
  const [problem] = result.error.issues;
  const path = problem === undefined || problem.path.length === 0 ? "" : ` at ${problem.path.join(".")}`;
  throw new SluiceError(
    "ERR_VALUE_UNSAFE",
    `A value of ${what} cannot be carried into haproxy.cfg${path}: ${problem?.message ?? "unknown problem"}`,
    { details: { issues: result.error.issues.map(({ path, message }) => ({ path: path.join("."), message })) } },
  );
}

/** The routes and their maps are the very same objects while no route changed. */
function sameRest(a: LoadBalancer, b: LoadBalancer): boolean {
  return a.maps === b.maps && a.listeners === b.listeners && sameFields(a.excluded, b.excluded);
}

/** Whether two lists hold the same flat records in the same order. */
function sameFields(a: readonly object[], b: readonly object[]): boolean {
  return (
    a.length === b.length &&
    a.every((one, index) => {
      const other = b[index];
      if (one === other) return true;
      const [mine, theirs] = [Object.entries(one), Object.entries(other ?? {})];
      return (
        mine.length === theirs.length &&
        mine.every(([key, value], at) => key === theirs[at]?.[0] && value === theirs[at]?.[1])
      );
    })
  );
}

function frozen<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  for (const part of Object.values(value)) frozen(part);
  return Object.freeze(value);
}

function cleaned<T extends object>(texts: T): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(texts).map(([key, value]) => [key, typeof value === "string" ? cleanText(value) : value]),
  );
}

function withoutBrackets(address: string): string {
  return address.trim().replace(/^\[(.*)\]$/, "$1");
}

function cleanText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return text.replace(/[\x00-\x1f\x7f]/g, "\ufffd").toWellFormed();
}
