import { cellKey, dataCells, instanceKey, instancesOf } from "../guard/quarantine.ts";
import type { Cell, Services } from "../guard/types.ts";
import { findCulprits } from "./culprits.ts";

/** One search asks so many times at most; with more culprits than that can find, all keeps its last good structure. */
const mostTrials = 200;

/**
 * Finds whose data the template or HAProxy cannot take. First those that what was said points at, then what is new
 * since all was taken, then all; first tags and meta, then whole services.
 *
 * @param hinted services (key strings) that what was said points at
 * @param good the services of which all was taken
 * @param taken whether a configuration without these cells is taken; many questions, so none that is not needed
 * @returns what has to be withheld, as little as can be; empty where all is taken by now; undefined where it is nobody's
 *   fault, since it is refused without any service too: the template's, the settings' or the machine's
 */
export async function isolate(
  services: Services,
  hinted: ReadonlySet<string>,
  good: Services,
  taken: (withheld: readonly Cell[]) => Promise<boolean>,
): Promise<readonly Cell[] | undefined> {
  let left = mostTrials;
  const ask = async (withheld: readonly Cell[]) => {
    if (left === 0) throw new Exhausted();
    left -= 1;
    return taken(withheld);
  };
  try {
    if (await ask([])) return [];
    for (const suspects of stages(services, hinted, good)) {
      if (!(await ask(suspects))) continue;
      const culprits = await preferData(await findCulprits(suspects, ask), services, ask);
      return await refine(culprits, services, ask);
    }
  } catch (thrown) {
    if (!(thrown instanceof Exhausted)) throw thrown;
  }
  return undefined;
}

class Exhausted extends Error {}

/** Who is suspected, one list after the other; each list once. */
function stages(services: Services, hinted: ReadonlySet<string>, good: Services): readonly (readonly Cell[])[] {
  const cells = dataCells(services);
  const known = new Set(dataCells(good).map(cellKey));
  const whole = [...services.keys()].map((service) => ({ service }));
  const lists: (readonly Cell[])[] = [
    cells.filter(({ service }) => hinted.has(service)),
    whole.filter(({ service }) => hinted.has(service)),
    cells.filter((cell) => !known.has(cellKey(cell))),
    whole.filter(({ service }) => !good.has(service)),
    cells,
    whole,
  ];
  const seen = new Set<string>();
  return lists.filter((list) => {
    const key = JSON.stringify(list.map(cellKey));
    const fresh = list.length > 0 && !seen.has(key);
    seen.add(key);
    return fresh;
  });
}

/** Of services that would be withheld as a whole, the tags and meta where those are enough: beside one that is at fault itself. */
async function preferData(
  culprits: readonly Cell[],
  services: Services,
  taken: (withheld: readonly Cell[]) => Promise<boolean>,
): Promise<readonly Cell[]> {
  let result = culprits;
  const cells = dataCells(services);
  for (const cell of culprits.length > 1 ? culprits : []) {
    const others = result.filter((one) => one !== cell);
    const own = cell.data === undefined ? cells.filter(({ service }) => service === cell.service) : [];
    if (own.length === 0 || !(await taken([...others, ...own]))) continue;
    const found = await findCulprits(own, (withheld) => taken([...others, ...withheld]));
    result = [...others, ...found];
  }
  return result;
}

/** Of instances that have the same tags and meta and were found together, those that it takes: an id may be what is wrong. */
async function refine(
  culprits: readonly Cell[],
  services: Services,
  taken: (withheld: readonly Cell[]) => Promise<boolean>,
): Promise<readonly Cell[]> {
  let result = culprits;
  for (const cell of culprits) {
    const instances = cell.data === undefined ? [] : instancesOf(cell, services);
    if (instances.length < 2) continue;
    const others = result.filter((one) => one !== cell);
    const single = instances.map((instance) => ({ ...cell, instance: instanceKey(instance) }));
    const found = await findCulprits(single, (withheld) => taken([...others, ...withheld]));
    if (found.length < single.length) result = [...others, ...found];
  }
  return result;
}
