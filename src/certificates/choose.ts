import path from "node:path";
import { certificateOf } from "../haproxy/plan/certificates.ts";
import type { Certificate } from "../haproxy/plan/types.ts";
import { hexDigest } from "../support/digest.ts";
import type { ReadCertificate } from "./types.ts";

export interface Choice {
  /** In the order of HAProxy's list. */
  readonly certificates: readonly Certificate[];
  /** The names each one serves, by its name. */
  readonly serves: ReadonlyMap<string, readonly string[]>;
  /** What is worth knowing of some, by name. */
  readonly remarks: ReadonlyMap<string, string>;
}

export interface ChoiceInput {
  readonly certificates: readonly ReadCertificate[];
  /** Name of the one for clients that ask for no known name. Where there is none of that name: the first by name. */
  readonly preferred: string | undefined;
  /** What stands there while there is none at all. */
  readonly placeholder: () => string;
  /** Directory HAProxy reads them from. */
  readonly directory: string;
  /** Wall-clock ms. */
  readonly now: number;
}

/**
 * Which certificate serves which name. Of several for one name and kind of key, the one that is valid longest has it,
 * then the first by name; one that is not valid yet comes last. The first entry of the list has no name: a copy of the
 * default one, or the placeholder, so that another default is a change of content and nothing else.
 */
export function chooseCertificates({ certificates, preferred, placeholder, directory, now }: ChoiceInput): Choice {
  const byName = [...certificates].sort((a, b) => (a.name < b.name ? -1 : 1));
  const byWorth = [...byName].sort(
    (a, b) => Number(a.notBefore > now) - Number(b.notBefore > now) || b.notAfter - a.notAfter,
  );
  const owners = new Map<string, string>();
  const serves = new Map<string, string[]>();
  const losses = new Map<string, string[]>();
  for (const { name, hosts, keyType } of byWorth) {
    const own: string[] = [];
    for (const host of hosts) {
      const owner = owners.get(`${keyType} ${host}`);
      if (owner === undefined) {
        owners.set(`${keyType} ${host}`, name);
        own.push(host);
      } else losses.set(name, [...(losses.get(name) ?? []), `${host} is served by ${owner}`]);
    }
    serves.set(name, own);
  }
  const fallback = byName.find(({ name }) => name === preferred) ?? byName[0];
  const entries = byName.flatMap(({ name, pem }) => {
    const names = serves.get(name) ?? [];
    return names.length === 0 ? [] : certificateOf({ file: fileOf(directory, name, names), names }, pem);
  });
  const first = { file: path.join(directory, "default.pem"), names: [] };
  const remarks = new Map<string, string>();
  for (const [name, lost] of losses) {
    const more = lost.length > 5 ? `; and ${lost.length - 5} more` : "";
    remarks.set(name, `${lost.slice(0, 5).join("; ")}${more}, which is valid longer`);
  }
  return { certificates: [certificateOf(first, fallback?.pem ?? placeholder()), ...entries], serves, remarks };
}

function fileOf(directory: string, name: string, names: readonly string[]): string {
  return path.join(directory, `${fileStem(name)}.${hexDigest(JSON.stringify([name, names]), 8)}.pem`);
}

/** What the copies of a certificate of this name begin with. */
export function fileStem(name: string): string {
  return name.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 80);
}
