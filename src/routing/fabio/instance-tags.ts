import type { Instance } from "../../catalog/types.ts";
import type { InstanceOptions } from "../../settings/options/table.ts";
import { shown } from "../shown.ts";
import { type FabioTag, parseTag } from "./parse-tag.ts";

/** Whose tags are read. */
export type Bearer = Pick<Instance, "node" | "id" | "tags" | "createIndex">;

/** What one instance's tags of Fabio say. */
export interface InstanceTags {
  readonly tags: readonly FabioTag[];
  /** Words of its server's line for requests; those for connections are with `proto=tcp` tags. */
  readonly options: InstanceOptions;
  /** What could not be read or is ignored, each with its tag, in words a person understands. */
  readonly problems: readonly string[];
}

interface Remembered {
  readonly prefix: string;
  readonly datacenter: string;
  readonly read: InstanceTags;
}

const silent: InstanceTags = { tags: [], options: {}, problems: [] };
const known = new WeakMap<Instance["tags"], Remembered>();

/** Reads an instance's tags. Remembered for as long as they are the very same object. */
export function instanceTags({ tags }: Pick<Instance, "tags">, prefix: string, datacenter: string): InstanceTags {
  const before = known.get(tags);
  if (before?.prefix === prefix && before.datacenter === datacenter) return before.read;
  const read = readAll(tags, prefix, datacenter);
  known.set(tags, { prefix, datacenter, read });
  return read;
}

function readAll(written: readonly string[], prefix: string, datacenter: string): InstanceTags {
  const problems: string[] = [];
  const byPlace = new Map<string, FabioTag>();
  for (const one of written) {
    const read = parseTag(one, prefix, datacenter);
    if (read.kind === "unreadable") problems.push(`tag ${shown(read.text)} ${read.problem}`);
    if (read.kind !== "read") continue;
    const { tag } = read;
    for (const note of tag.options.notes) problems.push(`tag ${shown(tag.text)}: ${note}`);
    const place = JSON.stringify([tag.place, tag.options.weight]);
    const held = byPlace.get(place);
    if (held === undefined) byPlace.set(place, tag);
    else {
      const [winner, loser] = goesBefore(tag, held) ? [tag, held] : [held, tag];
      byPlace.set(place, winner);
      if (asks(winner) === asks(loser)) continue;
      problems.push(`tag ${shown(loser.text)} counts for nothing: ${shown(winner.text)} has its route; leave one out`);
    }
  }
  if (byPlace.size === 0 && problems.length === 0) return silent;
  const tags = [...byPlace.values()];
  return { tags, options: serverOptions(tags, problems), problems };
}

/** Fabio sorts its commands backwards and takes the first of one instance for one route. */
function goesBefore(a: FabioTag, b: FabioTag): boolean {
  return asks(a) > asks(b);
}

function asks({ options: { proto, route, server, register = "" } }: FabioTag): string {
  const words = Object.entries({ ...route, ...server }).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return `${proto} ${words.join(" ")} ${register}`;
}

/**
 * An instance's port speaks one protocol, so what one tag says holds for all: the one that names a protocol goes before
 * those that leave it at http.
 */
function serverOptions(tags: readonly FabioTag[], problems: string[]): InstanceOptions {
  const http = tags.filter(({ place }) => place.kind === "http");
  if (http.length === 0) {
    return Object.assign({ protocol: "tcp" as const }, ...tags.map(({ options }) => options.server), {
      protocol: "tcp" as const,
    });
  }
  for (const { text, options } of tags) {
    if (options.server["proxy-protocol"] === undefined) continue;
    problems.push(`tag ${shown(text)}: pxyproto counts for nothing beside routes of HTTP; register them apart`);
  }
  const named = http.filter(({ options }) => options.proto !== "http");
  const [first] = named;
  if (first === undefined) return {};
  for (const { text, options } of named) {
    if (options.proto === first.options.proto) continue;
    problems.push(
      `tag ${shown(text)}: its protocol counts for nothing, ${shown(first.text)} says ${first.options.proto}; a port speaks one`,
    );
  }
  const names = new Set(named.flatMap(({ options }) => options.server["tls.sni"] ?? []));
  const [name] = names;
  return {
    protocol: first.options.proto,
    ...(named.some(({ options }) => options.server["tls.verify"] === "none") && { "tls.verify": "none" as const }),
    // With several names, each request's own: the Host header it is sent with.
    ...(name !== undefined && { "tls.sni": names.size === 1 ? name : "host" }),
  };
}
