import type { MapRow } from "./types.ts";

/** Where connections of a port go. */
export interface ListenPlace {
  readonly backend: string;
  /** 0..1 */
  readonly share: number;
  /** Id of the list of clients that may; empty: all. */
  readonly list: string;
}

/**
 * What haproxy/frontend-tcp.njk finds in listeners.map: the name, then `*.` before what is above it, then the port alone.
 *
 * @param name what a TLS client asks for, in small letters; empty where it asks for none
 */
export function listenPlaces(rows: readonly MapRow[], port: number, name: string): readonly ListenPlace[] {
  const labels = name === "" ? [] : name.split(".");
  const wilds = labels.map((_, at) => `${port}/*.${labels.slice(at + 1).join(".")}`).slice(0, -1);
  for (const place of [...(name === "" ? [] : [`${port}/${name}`]), ...wilds, `${port}`]) {
    const found = rows.filter(({ key }) => key.startsWith(`${place}=`));
    if (found.length > 0) return summed(found.map((row) => [row, shareOf(row.key.slice(place.length + 1))] as const));
  }
  return [];
}

/** A beginning of a number from 10000 to 19999; nothing stands for all of them. */
function shareOf(beginning: string): number {
  return beginning === "" ? 1 : 10 ** -(beginning.length - 1);
}

function summed(rows: readonly (readonly [MapRow, number])[]): readonly ListenPlace[] {
  const places = new Map<string, ListenPlace>();
  for (const [{ value }, share] of rows) {
    const [backend = "", list = ""] = value.split("|");
    places.set(value, { backend, list, share: (places.get(value)?.share ?? 0) + share });
  }
  return [...places.values()];
}
