import { hexDigest } from "../../support/digest.ts";
import type { CheckStatus, Registration, ServiceCheck } from "../agent-client.ts";
import type { Container } from "../docker/types.ts";
import { saidCheck, statusWord } from "./container-check.ts";
import { type PortWords, saysYes, tagList, wordsOf } from "./container-words.ts";
import type { RegistrarOptions } from "./options.ts";
import { type Place, placesOf, type Surroundings } from "./places.ts";

/** Who made a registration: the name of a host. */
export const madeBy = "sluice-registrar";
/** Of which container, the first twelve digits of its id. */
export const containerKey = "sluice-container";
/** Of all that was registered, the check included, which Consul's agent does not tell back. */
export const digestKey = "sluice-digest";

/** A service that a container is to be registered as. */
export interface Wanted {
  readonly registration: Registration;
  /** The name of the container, for people. */
  readonly container: string;
  /** What the registrar itself says of the service by its TTL check; undefined: nothing. */
  readonly ttl?: { readonly status: CheckStatus; readonly output: string };
}

/** What one container comes to. */
export interface Wish {
  readonly services: readonly Wanted[];
  /** What it says and what does not count, in words for whoever runs it. */
  readonly problems: readonly string[];
}

/** Without `--ttl`, what was said last holds for as long as anybody needs to start a registrar again. */
export const lastingTtlMs = 24 * 3_600_000;

/** Consul's bounds of meta (Consul: "Service configuration reference", `meta`), ours taken off. */
const mostMeta = 60;
const longestMetaKey = 128;
const longestMetaValue = 512;
const longestName = 255;
/** Words that are no meta. */
const ownWords: ReadonlySet<string> = new Set(["name", "id", "tags", "ignore"]);

/**
 * The services that a container is registered as. The same container and options give the same services, whatever the
 * order of anything.
 *
 * @param host what the ids begin with, and who is said to have made them
 */
export function wishOf(
  container: Container,
  options: RegistrarOptions,
  host: string,
  surroundings: Surroundings,
): Wish {
  if (container.state === "stopped") return { services: [], problems: [] };
  const words = wordsOf(container);
  const { places, problem } = placesOf(container, options, surroundings);
  const ofAll = words.of(0);
  if (saysYes(ofAll.get("ignore"))) return { services: [], problems: [] };
  const problems = problem === undefined || (options.explicit && ofAll.get("name") === undefined) ? [] : [problem];
  const services: Wanted[] = [];
  for (const place of places) {
    const own = words.of(place.inside);
    if (saysYes(own.get("ignore")) || (options.explicit && own.get("name") === undefined)) continue;
    const service = serviceAt(container, place, places.length > 1, own, options, host);
    services.push(...service.services);
    problems.push(...service.problems);
  }
  return { services, problems: [...new Set(problems)] };
}

function serviceAt(
  container: Container,
  place: Place,
  isOneOfSeveral: boolean,
  words: PortWords,
  options: RegistrarOptions,
  host: string,
): Wish {
  const problems: string[] = [];
  const suffix = (word: string, separator: string) =>
    isOneOfSeveral && !words.isOwn(word) ? `${separator}${place.inside}` : "";
  const base = words.get("name") ?? imageName(container.image);
  const name = `${base ?? ""}${suffix("name", "-")}`;
  const complaint = base === undefined ? "its image tells no name: set SERVICE_NAME" : nameProblem(name);
  const ownId = words.get("id");
  const stem = ownId === undefined ? `${host}:${container.name}:${place.inside}` : `${ownId}${suffix("id", "-")}`;
  const id = place.protocol === "tcp" ? stem : `${stem}:${place.protocol}`;
  if (complaint !== undefined) return { services: [], problems: [complaint] };
  if (!isPlain(id) || isDots(id) || id.length > longestName)
    return { services: [], problems: ["SERVICE_ID cannot be an id"] };

  const checked = checkOf(container, place, words, options, problems);
  const tags = [...tagList(words.get("tags")), ...options.tags, ...(place.protocol === "tcp" ? [] : [place.protocol])];
  const bare: Registration = {
    id,
    name,
    ...(place.address !== undefined && { address: place.address }),
    port: place.port,
    tags: [...new Set(tags)],
    meta: { ...metaOf(words, problems), [madeBy]: host, [containerKey]: container.id.slice(0, 12) },
    ...(checked.check !== undefined && { check: checked.check }),
  };
  // What a check was at first says nothing of what it is: a change of it alone is no reason to register again.
  const { status, ...lasting } = checked.check ?? {};
  const digest = hexDigest(JSON.stringify({ ...bare, check: lasting }), 12);
  const registration = { ...bare, meta: { ...bare.meta, [digestKey]: digest } };
  const service = { registration, container: container.name, ...(checked.ttl !== undefined && { ttl: checked.ttl }) };
  return { services: [service], problems };
}

/** The check a container asks for; else its HEALTHCHECK, told on; else, with `--ttl`, that it runs. */
function checkOf(
  container: Container,
  place: Place,
  words: PortWords,
  options: RegistrarOptions,
  problems: string[],
): { readonly check?: ServiceCheck; readonly ttl?: Wanted["ttl"] } {
  // An address that is not known is the agent's own.
  const said = saidCheck(words, place.address ?? "127.0.0.1", place.port, options.deregisterAfterMs);
  problems.push(...said.problems);
  if (said.check !== undefined) return { check: said.check };
  const health = options.healthcheck ? container.health : undefined;
  if (health === undefined && options.ttlMs === undefined) return {};
  const first = statusWord(words.get("check_initial_status"), []) ?? "critical";
  const ttl = {
    status: health === undefined || health === "healthy" ? "passing" : health === "starting" ? first : "critical",
    output: health === undefined ? "the container runs" : `Docker says ${health}`,
  } as const;
  const check: ServiceCheck = {
    kind: "ttl",
    name: health === undefined ? "container" : "HEALTHCHECK",
    ttlMs: options.ttlMs ?? lastingTtlMs,
    status: ttl.status,
    ...(options.deregisterAfterMs !== undefined && { deregisterAfterMs: options.deregisterAfterMs }),
  };
  return { check, ttl };
}

/** Whatever else is said, as Registrator has it: `SERVICE_REGION=us2` is `region`. */
function metaOf(words: PortWords, problems: string[]): Readonly<Record<string, string>> {
  const meta: [string, string][] = [];
  for (const [word, value] of words.all()) {
    if (ownWords.has(word) || word.startsWith("check_")) continue;
    if (
      !/^[a-z0-9_-]+$/.test(word) ||
      word === "__proto__" ||
      word.length > longestMetaKey ||
      word.startsWith("consul-")
    ) {
      problems.push(`the word ${JSON.stringify(word.slice(0, 40))} behind SERVICE_ cannot be a key of Consul's meta`);
    } else if (Buffer.byteLength(value) > longestMetaValue) {
      problems.push(`SERVICE_${word.toUpperCase()} is longer than Consul's meta may be, ${longestMetaValue} bytes`);
    } else if (meta.length === mostMeta) {
      problems.push(`more than ${mostMeta} words behind SERVICE_; the last ones are left out`);
    } else meta.push([word, value]);
  }
  return Object.fromEntries(meta);
}

/** `registry:5000/team/web:1.2@sha256:…` is `web`. */
function imageName(image: string): string | undefined {
  if (image.startsWith("sha256:")) return undefined;
  const last = image.replace(/@.*$/s, "").split("/").at(-1) ?? "";
  return last.replace(/:.*$/s, "") || undefined;
}

/** Consul takes any name; these it cannot be asked for again, or its own answers are about another service. */
function nameProblem(name: string): string | undefined {
  if (isPlain(name) && !name.includes("/") && !isDots(name) && name.length <= longestName) return undefined;
  return "SERVICE_NAME cannot be a service's name: control characters, a slash, only dots, or too long";
}

/** In the path of a URL these are taken for directories and left out (RFC 3986, section 5.2.4). */
function isDots(text: string): boolean {
  return text === "." || text === "..";
}

function isPlain(text: string): boolean {
  return text.isWellFormed() && !/\p{Cc}/u.test(text);
}
