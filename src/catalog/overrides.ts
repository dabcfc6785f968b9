import { z } from "zod";
import { readOverride } from "../settings/options/read-override.ts";
import type { Settings } from "../settings/schema.ts";
import { SluiceError } from "../support/errors.ts";
import { isFiltered } from "./answers.ts";
import type { ConsulAnswer, ConsulClient, ConsulRequest, RequestLimits } from "./consul-client.ts";
import { compare } from "./health.ts";
import type { CatalogSettings } from "./selection.ts";
import type { Override } from "./types.ts";

/** By service name; case counts. */
export type Overrides = ReadonlyMap<string, Override>;

/** Where there is none, or nobody wants any. */
export const noOverrides: Overrides = new Map();

/** More documents than services that one HAProxy can carry. */
const mostDocuments = 20_000;
/** Longest document in base64: of what `readOverride` reads, whatever its characters, and a little more. */
const longestBase64 = 400_000;

/** One entry of `GET /v1/kv/:key?recurse` (Consul API: KV Store). */
const entrySchema = z.object({ Key: z.string(), Value: z.string().nullish() });
const entriesSchema = z.array(z.unknown());

/** Where the overrides are, without slashes at its ends; undefined: nowhere. */
export function overridesPath({ overrides }: Pick<Settings["services"], "overrides">): string | undefined {
  const path = overrides.replace(/^\/+|\/+$/g, "");
  return path === "off" || path === "" ? undefined : path;
}

export function overridesRequest(path: string): ConsulRequest {
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  // With the slash, or `services-old` would be among `services`.
  return { path: `/kv/${encoded}/`, query: { recurse: "true" }, mayBeAbsent: true };
}

/**
 * The overrides out of the body of an answer. A document that did not change keeps its object.
 *
 * @param body undefined where there is nothing under the path
 * @throws SluiceError ERR_CONSUL_ANSWER_INVALID where the answer is not a list of entries
 */
export function readOverrides(body: unknown, path: string, previous: Overrides = noOverrides): Overrides {
  if (body === undefined) return noOverrides;
  const entries = entriesSchema.safeParse(body);
  if (!entries.success) {
    throw new SluiceError("ERR_CONSUL_ANSWER_INVALID", `Consul's answer to /kv/${path}/ is not a list of entries`, {
      retryable: true,
    });
  }
  const documents: [string, string][] = [];
  for (const one of entries.data) {
    const entry = entrySchema.safeParse(one);
    if (!entry.success || !entry.data.Key.startsWith(`${path}/`)) continue;
    const name = entry.data.Key.slice(path.length + 1);
    // A folder is an entry of its own in Consul's web page.
    if (name === "" || name.endsWith("/")) continue;
    documents.push([name, entry.data.Value ?? ""]);
  }
  documents.sort(([a], [b]) => compare(a, b));
  const result = new Map<string, Override>();
  for (const [name, base64] of documents.slice(0, mostDocuments)) {
    const before = previous.get(name);
    const text = base64.length > longestBase64 ? undefined : Buffer.from(base64, "base64").toString("utf8");
    result.set(name, before !== undefined && text !== undefined && before.text === text ? before : overrideOf(text));
  }
  return result;
}

/** What a document says. */
export function overrideOf(text: string | undefined): Override {
  if (text === undefined) {
    return { options: {}, problems: ["is too long to be read; shorten it"], unreadable: true };
  }
  const { options, routes, problems, unreadable } = readOverride(text);
  return {
    options,
    ...(Object.keys(routes).length > 0 && { routes }),
    problems,
    ...(unreadable && { unreadable }),
    text,
  };
}

/** The same documents, told by the identity of what was read from them. */
export function sameOverrides(a: Overrides, b: Overrides): boolean {
  if (a.size !== b.size) return false;
  for (const [name, override] of a) if (b.get(name) !== override) return false;
  return true;
}

/** Names of the services that an operator exposes whatever their tags say: by an override, or by name in the settings. */
export function enabledBy(
  overrides: Overrides | undefined,
  documents: CatalogSettings["options"],
): ReadonlySet<string> {
  const names = new Set<string>();
  for (const [name, { options }] of Object.entries(documents)) if (options.enable === true) names.add(name);
  for (const [name, { options }] of overrides ?? []) if (options.enable === true) names.add(name);
  return names;
}

/**
 * A client that takes what ACLs filtered for refused: a token without `key:read` is answered as if there were nothing
 * (measured with Consul 1.19.2: 404 with `X-Consul-Results-Filtered-By-ACLs`).
 */
export function seeingAll(client: Pick<ConsulClient, "get" | "endpoint">): Pick<ConsulClient, "get" | "endpoint"> {
  return {
    endpoint: client.endpoint,
    get: async (request: ConsulRequest, limits: RequestLimits): Promise<ConsulAnswer> => {
      const answer = await client.get(request, limits);
      if (!isFiltered(answer.headers)) return answer;
      throw new SluiceError(
        "ERR_CONSUL_STATUS",
        `consul.token may not read the overrides under ${request.path}: give it key_prefix read there, or set services.overrides to off`,
        { retryable: true, details: { path: request.path, status: 403 } },
      );
    },
  };
}
