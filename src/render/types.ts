/** What rendering yields: the whole desired configuration and the files it refers to. */
export interface Rendered {
  /** haproxy.cfg, ending in a newline. */
  readonly text: string;
  /** Map files by absolute path: contents that the Runtime API can replace. */
  readonly maps: ReadonlyMap<string, string>;
  /** Other files by absolute path (error pages), named by their content: they never change, others appear. */
  readonly assets: ReadonlyMap<string, string>;
}
