/**
 * haproxy.cfg as data. Only what Sluice must understand is understood: sections, words, server lines. All else
 * stays opaque and compares as text, so that any configuration HAProxy accepts can pass through unharmed.
 */
export interface Config {
  /** What stands before the first section (comments, `.if` blocks). */
  readonly preamble: readonly Line[];
  readonly sections: readonly Section[];
}

export interface Section {
  /** `global`, `defaults`, `frontend`, `backend`, `listen`, `resolvers`, `peers`, `userlist`… */
  readonly kind: string;
  /** The section's name; undefined where it has none (`global`, an unnamed `defaults`). */
  readonly name?: string;
  /** The named `defaults` section it inherits from (`backend x from y`). */
  readonly from?: string;
  /** The header line and all that follows up to the next header. */
  readonly header: Line;
  readonly lines: readonly Line[];
}

export interface Line {
  /** As written, without the newline. */
  readonly raw: string;
  /** Words after quotes and escapes are resolved; environment variables stay as written. Empty for blank and comment lines. */
  readonly words: readonly string[];
}

/** A `server` line of a backend or listen section, taken apart. */
export interface ServerLine {
  readonly name: string;
  /** IPv4 or IPv6 address without brackets, or a host name, or what else stands there. */
  readonly address: string;
  /** 0 where the line has none. */
  readonly port: number;
  /** 0..256; 1 where neither the line nor a default-server says. 0 = drain. */
  readonly weight: number;
  /** True when `disabled` is among the words: starts in maintenance. */
  readonly maintenance: boolean;
  /** The words behind the address in the order written, without `weight N` and `disabled`. */
  readonly options: readonly string[];
  readonly line: Line;
}
