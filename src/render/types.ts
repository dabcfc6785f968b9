import type { Exclusion } from "../routing/types.ts";

/** What rendering yields: the whole desired configuration and the files it refers to. */
export interface Rendered {
  /** haproxy.cfg, ending in a newline. */
  readonly text: string;
  /**
   * Map files by absolute path: contents that the Runtime API can replace. In the order of the template's `mapFile`
   * calls: a map stands behind those that its entries refer to, so that additions are made in this order and deletions
   * in reverse.
   */
  readonly maps: ReadonlyMap<string, string>;
  /** Other files by absolute path (error pages), named by their content: they never change, others appear. */
  readonly assets: ReadonlyMap<string, string>;
  /** What services asked for and the template could not give, such as an error page that is not there. */
  readonly excluded: readonly Exclusion[];
}

/** What the configuration is made of besides services, settings and template: files of people, as last read. */
export interface Material {
  /** Path of the list of certificates (`crt-list`); left out: there is none, and no HTTPS. */
  readonly certificateList?: string;
  /** Schemes of basic authentication, sorted by name. A scheme without users lets nobody in. */
  readonly auth: readonly {
    readonly name: string;
    readonly realm: string;
    readonly users: readonly { readonly name: string; readonly hash: string }[];
  }[];
  /** Files of authorities, sorted by name. */
  readonly authorities: readonly { readonly name: string; readonly text: string }[];
}

export const noMaterial: Material = { auth: [], authorities: [] };
