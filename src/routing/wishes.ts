import type { OptionKey, Options } from "../settings/options/table.ts";
import type { Origin } from "./types.ts";

/** Where an option was said: in which source, and what was written there. */
export type Said = Pick<Origin, "kind" | "text">;

/** Options, and where each was said. */
export interface Wishes {
  readonly options: Options;
  readonly said: Readonly<Partial<Record<OptionKey, Said>>>;
}

export const noWishes: Wishes = { options: {}, said: {} };

/** What stands later goes before what stands earlier, option by option. */
export function layered(...layers: readonly Wishes[]): Wishes {
  const given = layers.filter(({ options }) => Object.keys(options).length > 0);
  if (given.length === 0) return noWishes;
  return given.length === 1
    ? (given[0] as Wishes)
    : {
        options: Object.assign({}, ...given.map(({ options }) => options)),
        said: Object.assign({}, ...given.map(({ said }) => said)),
      };
}

/** Options of one source that is written as a document. */
export function wishesOf(options: Options, kind: Said["kind"], written: string): Wishes {
  const said: Partial<Record<OptionKey, Said>> = {};
  for (const key of Object.keys(options) as OptionKey[]) said[key] = { kind, text: `${written} ${key}` };
  return normalised({ options, said });
}

/**
 * What an instance speaks, in its normal form: `protocol` is `http` or `h2`, and TLS is said by `tls` alone; `tcp` is
 * `mode=tcp`. Done source by source, so that a higher one that says `h2c` is not left with the `tls` of a lower one;
 * what the same source says of `tls` or `mode` stands.
 */
export function normalised(wishes: Wishes): Wishes {
  const { protocol, ...others } = wishes.options;
  const { protocol: where, ...elsewhere } = wishes.said;
  if (protocol === undefined || where === undefined) return wishes;
  if (protocol === "tcp") {
    return { options: { mode: "tcp", ...others }, said: { mode: where, ...elsewhere } };
  }
  const tls = protocol === "https" || protocol === "h2" || protocol === "grpcs";
  return {
    options: { tls, ...others, protocol: protocol === "http" || protocol === "https" ? "http" : "h2" },
    said: { tls: where, ...elsewhere, protocol: where },
  };
}

/** The same without some of them. */
export function without(wishes: Wishes, keys: ReadonlySet<string>): Wishes {
  const left = <T extends object>(values: T) =>
    Object.fromEntries(Object.entries(values).filter(([key]) => !keys.has(key)));
  return { options: left(wishes.options), said: left(wishes.said) };
}

/** Those of some keys alone. */
export function only(wishes: Wishes, keys: ReadonlySet<string>): Wishes {
  const taken = <T extends object>(values: T) =>
    Object.fromEntries(Object.entries(values).filter(([key]) => keys.has(key)));
  return { options: taken(wishes.options), said: taken(wishes.said) };
}
