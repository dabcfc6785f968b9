import { hexDigest } from "../../support/digest.ts";
import { sectionsByKey, sectionsEqual, structureText } from "../config/equality.ts";
import type { Config, Section } from "../config/types.ts";
import type { ObservedServer } from "../runtime/types.ts";
import { planGoneBackend, planNewBackend } from "./backends.ts";
import { firstDifference } from "./difference.ts";
import { countChanges, type MapChange, mapSteps } from "./map-steps.ts";
import { mapTargets } from "./map-targets.ts";
import { isOrdered } from "./map-use.ts";
import { sameEntries } from "./maps.ts";
import { isPool, poolNames } from "./pools.ts";
import { planServers, type ServerChanges } from "./servers.ts";
import type { Change, ObservedBackends, Plan, PlanInput, ReloadReason, RuntimeOperation } from "./types.ts";

/** In which order operations of a plan run: what serves before what does not, so that no backend is emptied on the way. */
function rank(operation: RuntimeOperation): number {
  switch (operation.kind) {
    case "add-backend":
      return -1;
    case "add-server":
    case "revive-server":
      return 0;
    case "set-weight":
      return operation.weight > 0 ? 1 : 3;
    case "set-state":
      return operation.state === "ready" ? 1 : 3;
    case "publish-backend":
      return 1.5;
    case "edit-map":
    case "replace-map":
      return 2;
    case "unpublish-backend":
      return 2.5;
    case "retire-server":
      return 4;
  }
}

/**
 * What must be done for the running process to be what is wanted: operations that can be done at once, and every reason
 * for a reload. Sections that are the same objects on both sides cost nothing, so the work is that of the change (with a
 * read-back given, it is that of the fleet).
 */
export function planChanges(input: PlanInput): Plan {
  const operations: RuntimeOperation[] = [];
  const reload: ReloadReason[] = [];
  const changes: Change[] = [];
  const take = (part: ServerChanges) => {
    operations.push(...part.operations);
    reload.push(...part.reload);
    changes.push(...part.changes);
  };
  const current = sectionsByKey(input.current.config);
  const wanted = sectionsByKey(input.wanted.config);

  for (const [key, section] of wanted) {
    const now = current.get(key);
    if (now === undefined) {
      const made = planNewBackend(input, section);
      if (made === undefined) reload.push(added(section));
      else take(made);
      continue;
    }
    const pool = isPool(section);
    const observed = pool ? input.observed?.get(section.name ?? "") : undefined;
    if (now === section && observed === undefined) continue;
    if (now !== section && !sectionsEqual(now, section, { ignoreServers: pool })) reload.push(changed(now, section));
    if (!pool) continue;
    const servers = planServers({
      currentConfig: input.current.config,
      current: now,
      wanted: section,
      capabilities: input.capabilities,
      leaving: input.leaving,
      ...(observed !== undefined && { observed }),
    });
    take(servers);
  }
  for (const [key, section] of current) {
    if (wanted.has(key)) continue;
    const taken = planGoneBackend(input, section);
    if (taken === undefined) reload.push(removed(section));
    else take(taken);
  }
  // Conditions that decide over sections stand there.
  if (preambleText(input.current.config) !== preambleText(input.wanted.config)) {
    reload.push({
      code: "section-changed",
      subject: "configuration",
      sentence: "what stands before the first section",
    });
  }
  if (reload.length === 0 && !sameOrder(current, wanted)) {
    reload.push({ code: "section-changed", subject: "configuration", sentence: "the sections stand in another order" });
  }
  planMaps(input, { operations, reload, changes });
  changes.push(...reload.map(({ subject, sentence }) => ({ subject, sentence })));
  operations.sort((a, b) => rank(a) - rank(b));
  return {
    id: hexDigest(JSON.stringify([operations, reload]), 12),
    operations,
    ...(reload.length > 0 && { reload }),
    changes,
  };
}

function planMaps(
  { current, wanted }: PlanInput,
  out: { operations: RuntimeOperation[]; reload: ReloadReason[]; changes: Change[] },
): void {
  if ([...wanted.maps].every(([file, text]) => current.maps.get(file) === text)) return;
  const published = out.operations.flatMap((one) => (one.kind === "publish-backend" ? one.backend : []));
  const loaded = new Set([...poolNames(current.config), ...published]);
  const pools = { loaded, wanted: poolNames(wanted.config) };
  const changes: MapChange[] = [];
  for (const [file, next] of mapTargets(wanted.maps, current.maps, pools)) {
    const now = current.maps.get(file);
    if (now === next) continue;
    if (now === undefined) {
      out.reload.push({
        code: "map-added",
        subject: `map ${file}`,
        sentence: "HAProxy has not loaded this map file yet",
      });
      continue;
    }
    const ordered = isOrdered(current.config, file) || isOrdered(wanted.config, file);
    if (!sameEntries(next, now, ordered)) changes.push({ file, now, next, ordered });
  }
  out.operations.push(...mapSteps(changes));
  out.changes.push(...changes.map((change) => ({ subject: `map ${change.file}`, sentence: mapSentence(change) })));
}

function mapSentence(change: MapChange): string {
  const { added, changed, gone } = countChanges(change);
  const parts = [added > 0 && `${added} new`, changed > 0 && `${changed} changed`, gone > 0 && `${gone} gone`];
  const counted = parts.filter((part) => part !== false);
  return counted.length === 0 ? "its entries stand in another order" : `entries: ${counted.join(", ")}`;
}

function preambleText({ preamble }: Config): string {
  return preamble.length === 0 ? "" : structureText({ preamble, sections: [] });
}

/** Whether what is in both stands in the same order. */
function sameOrder(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): boolean {
  const others = b.keys();
  for (const key of a.keys()) {
    if (!b.has(key)) continue;
    let other = others.next();
    while (other.value !== undefined && !a.has(other.value)) other = others.next();
    if (other.value !== key) return false;
  }
  return true;
}

/** A read-back as the planner wants it: an entry for each backend that was asked for, also where it has no server. */
export function observedBackends(servers: readonly ObservedServer[], asked: Iterable<string>): ObservedBackends {
  const map = new Map<string, ObservedServer[]>();
  for (const name of asked) map.set(name, []);
  for (const server of servers) map.get(server.backend)?.push(server);
  return map;
}

function title(section: Section): string {
  return section.name === undefined ? section.kind : `${section.kind} ${section.name}`;
}

function added(section: Section): ReloadReason {
  const code = section.kind === "backend" ? "backend-added" : "section-added";
  return { code, subject: title(section), sentence: "is new" };
}

function removed(section: Section): ReloadReason {
  const code = section.kind === "backend" ? "backend-removed" : "section-removed";
  return { code, subject: title(section), sentence: "is gone" };
}

function changed(now: Section, wanted: Section): ReloadReason {
  return { code: "section-changed", subject: title(wanted), sentence: firstDifference(now, wanted) };
}
