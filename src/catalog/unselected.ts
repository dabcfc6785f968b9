import type { ServiceList } from "./selection.ts";
import { serviceKeyString } from "./service-key.ts";

/** Key strings of the services that are listed and not selected. */
export class Unselected {
  private current: ReadonlySet<string> = new Set();
  /** Names that a second read found gone, and the list that still had them: a younger one may be right again. */
  private readonly gone = new Map<string, ServiceList>();

  keys(): ReadonlySet<string> {
    return this.current;
  }

  /** A second read found that a service has no instance, while this list may still name it. */
  found(name: string, list: ServiceList | undefined): void {
    if (list?.has(name)) this.gone.set(name, list);
  }

  /**
   * Goes by another list.
   *
   * @param watched whether a service is watched, selected or not
   * @returns whether the keys are others than before
   */
  note(
    list: ServiceList,
    wanted: ReadonlySet<string>,
    watched: (name: string) => boolean,
    datacenter: string,
  ): boolean {
    for (const [name, seen] of this.gone) if (seen !== list || wanted.has(name)) this.gone.delete(name);
    const keys: string[] = [];
    for (const name of list.keys()) {
      if (wanted.has(name) || watched(name) || this.gone.has(name)) continue;
      keys.push(serviceKeyString({ datacenter, name }));
    }
    if (keys.length === this.current.size && keys.every((key) => this.current.has(key))) return false;
    this.current = new Set(keys);
    return true;
  }
}
