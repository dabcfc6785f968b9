/**
 * haproxy.cfg as data. Only what Sluice must understand is understood: sections, words, server lines. All else
 * stays opaque and compares as text, so that any configuration HAProxy accepts can pass through unharmed.
 */
export interface Config {
  /** What stands before the first section (comments, `.if` blocks). */
  readonly preamble: readonly Line[];
  readonly sections: readonly Section[];
}

/** From one header line up to the next. Its identity may be compared: the same object means the same section in the same place. */
export interface Section {
  /** `global`, `defaults`, `frontend`, `backend`, `listen`, `resolvers`, `peers`, `userlist`… */
  readonly kind: string;
  /** The section's name; undefined where it has none (`global`, an unnamed `defaults`). */
  readonly name?: string;
  /** The named `defaults` section it inherits from (`backend x from y`). */
  readonly from?: string;
  readonly header: Line;
  /** All that follows the header, up to the next one. */
  readonly lines: readonly Line[];
  /** What its servers inherit from `defaults` sections; absent where that is nothing. */
  readonly inherited?: DefaultServer;
  /** Present when an `.if` before the header is still open: whether the section exists is for HAProxy to decide. */
  readonly conditional?: true;
}

export interface Line {
  /** As written, without the newline (a carriage return before it is part of the line). */
  readonly raw: string;
  /** Words after quotes and escapes are resolved; environment variables stay as written. Empty for blank and comment lines. */
  readonly words: readonly string[];
  /**
   * Where HAProxy puts environment variables in, as `<index of the word>:<offset in it>`; absent where nowhere. Only
   * this tells the variable `"$HOME"` from the text `'$HOME'`.
   */
  readonly variables?: readonly string[];
}

/** The words of `default-server` lines, in order. */
export interface DefaultServer {
  readonly words: readonly string[];
  /** True when an environment variable or an `.if` block decides what HAProxy makes of them. */
  readonly uncertain: boolean;
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
  /** True when it starts in maintenance: `disabled` here or in default-server, and no `enabled` behind it. */
  readonly maintenance: boolean;
  /** The words behind the address in the order written, without `weight N`, `disabled` and `enabled`. */
  readonly options: readonly string[];
  /** The same of the `default-server` lines in force here: those inherited, then those above it in its section. */
  readonly defaults: readonly string[];
  /** True when environment variables are in the line, or its defaults are uncertain: it may run with other words than these. */
  readonly uncertain: boolean;
  readonly line: Line;
}

/** An entry of a list of certificates (`crt-list`). */
export interface ListEntry {
  /** Absolute path of the certificate. */
  readonly file: string;
  /** Names clients may ask for (SNI), `*.` before one for all below it. Empty: for clients that ask for no known name. */
  readonly names: readonly string[];
}
