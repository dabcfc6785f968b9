import type { Clock } from "../support/clock.ts";
import type { Logger } from "../support/logger.ts";
import { type Budget, reportBeyond } from "./budget.ts";
import { untilItMayGo } from "./leaving-name.ts";
import type { ListWatch } from "./list-watch.ts";
import type { OtherPlaces, Wanted } from "./other-places.ts";
import { enabledBy, type Overrides } from "./overrides.ts";
import type { OverridesWatch } from "./overrides-watch.ts";
import { type CatalogSettings, selectNames } from "./selection.ts";
import { serviceKeyString } from "./service-key.ts";
import type { Slots } from "./slots.ts";
import type { CatalogService } from "./types.ts";
import { Unselected } from "./unselected.ts";
import type { Watched, WatchedServices } from "./watched-services.ts";

export interface ServiceSelectionParts {
  readonly lists: ListWatch;
  readonly overrides: OverridesWatch;
  readonly places: OtherPlaces;
  readonly watched: WatchedServices;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  /** Runs what ends by a signal of its own. */
  readonly start: (task: Promise<void>) => void;
  readonly publish: (answeredAt: number) => void;
}

/** What the selection goes by, as it is now. */
export interface SelectionFacts {
  readonly services: CatalogSettings;
  /** Undefined until it is learned. */
  readonly datacenter: string | undefined;
  readonly budget: Budget;
  readonly reads: Slots;
}

/** Which services are watched: by the lists, by what operators wrote, and for as long as others may stand in for them. */
export class ServiceSelection {
  private readonly parts: ServiceSelectionParts;
  private readonly facts: () => SelectionFacts;
  private readonly unselected = new Unselected();
  private beyondBudget: readonly string[] = [];
  private unwatched = { of: this.beyondBudget, waiting: 0, keys: new Set<string>() };
  /** Names that overrides and settings expose, and what they are of. */
  private enabled:
    | { readonly of: readonly [Overrides | undefined, CatalogSettings]; readonly names: ReadonlySet<string> }
    | undefined;
  private done = false;
  private selecting = false;
  /** While services were selected, more became known of their other places. */
  private joinedMeanwhile = false;
  /** Names that are watched for the sake of other places alone. */
  private kept: ReadonlySet<string> = new Set();

  constructor(parts: ServiceSelectionParts, facts: () => SelectionFacts) {
    this.parts = parts;
    this.facts = facts;
  }

  /** Whether services have been selected at all. */
  selected(): boolean {
    return this.done;
  }

  /** Selected services that are not watched, because the budget is used up. */
  beyond(): readonly string[] {
    return this.beyondBudget;
  }

  /** Key strings of the services that are listed and not selected. */
  unselectedKeys(): ReadonlySet<string> {
    return this.unselected.keys();
  }

  /** As in `Snapshot`. Kept while it stays the same, for it may be long and every answer comes by here. */
  unwatchedKeys(): ReadonlySet<string> {
    const { beyondBudget, unwatched } = this;
    const { datacenter } = this.facts();
    if (datacenter === undefined) return new Set();
    const waiting = this.parts.watched.unanswered();
    // Names come to those that wait only with a new `beyondBudget`, and go one by one.
    if (unwatched.of === beyondBudget && unwatched.waiting === waiting.size) return unwatched.keys;
    const keys = new Set([...beyondBudget, ...waiting].map((name) => serviceKeyString({ datacenter, name })));
    this.unwatched = { of: beyondBudget, waiting: waiting.size, keys };
    return keys;
  }

  /**
   * Compares the services that are to be watched with those that are, and moves to the former.
   *
   * @param changed whether there is something to publish in any case
   */
  select(answeredAt: number, changed = false): void {
    const { lists, overrides, places, watched, start, publish } = this.parts;
    const { services, datacenter, budget, reads } = this.facts();
    const list = lists.list();
    const byMeta = lists.byMeta(services.expose);
    if (list === undefined || byMeta === undefined || datacenter === undefined) return;
    // What operators wrote says whether and how a service may be reached: not without it, where it can be had.
    if (overrides.waiting()) return;

    const elsewhere = this.wanted(datacenter);
    const names = selectNames(list, byMeta, services.expose, this.enabledNames());
    const wanted = new Set(names);
    this.kept = new Set([...places.kept(elsewhere)].filter((name) => !wanted.has(name)));
    for (const name of this.kept) {
      names.push(name);
      wanted.add(name);
    }
    this.letGoOfOthers(wanted);
    const beyond: string[] = [];
    const most = Math.max(0, budget.watches - lists.count() - overrides.count());
    for (const name of names) {
      if (watched.has(name)) continue;
      if (watched.size < most) start(watched.add({ datacenter, name }, reads));
      else beyond.push(name);
    }
    this.selecting = true;
    places.follow(wanted, elsewhere, most - watched.size);
    this.selecting = false;
    const moved = this.noteBeyond(beyond, names.length, budget);
    const noted = this.unselected.note(list, wanted, (name) => watched.has(name), datacenter);
    const news = noted || moved || changed || this.joinedMeanwhile || !this.done;
    this.done = true;
    this.joinedMeanwhile = false;
    if (news) publish(answeredAt);
  }

  /** A service has new instances: their tags may ask for other datacenters. */
  onService(service: CatalogService, answeredAt: number): void {
    const { datacenter } = this.facts();
    if (datacenter !== undefined && this.parts.places.note(service, this.wanted(datacenter))) {
      this.select(answeredAt, true);
    } else this.parts.publish(answeredAt);
  }

  /** What is known of a service in other places has changed; one that has none there may go where it has none here. */
  onOtherPlaces(name: string, answeredAt: number): void {
    this.parts.watched.joinAnew(name);
    if (this.selecting) this.joinedMeanwhile = true;
    else if (this.kept.has(name)) this.select(answeredAt, true);
    else this.parts.publish(answeredAt);
  }

  private wanted(here: string): Wanted {
    return { services: this.facts().services, overrides: this.parts.overrides.value(), here };
  }

  private enabledNames(): ReadonlySet<string> {
    const overrides = this.parts.overrides.value();
    const { services } = this.facts();
    const { enabled } = this;
    if (enabled?.of[0] === overrides && enabled?.of[1] === services) return enabled.names;
    const names = enabledBy(overrides, services.options);
    this.enabled = { of: [overrides, services], names };
    return names;
  }

  private letGoOfOthers(wanted: ReadonlySet<string>): void {
    for (const entry of this.parts.watched.entries()) {
      if (wanted.has(entry.name)) {
        entry.leaving?.abort();
        delete entry.leaving;
      } else if (entry.leaving === undefined) {
        const leaving = new AbortController();
        entry.leaving = leaving;
        this.parts.start(this.letGo(entry, leaving.signal));
      }
    }
  }

  private async letGo(entry: Watched, signal: AbortSignal): Promise<void> {
    const { lists, clock, random, watched, places } = this.parts;
    const end = await untilItMayGo({ ...entry, lists, clock, random }, signal);
    if (end === undefined) return;
    watched.forget(entry);
    places.forget(entry.name);
    if (end === "gone") this.unselected.found(entry.name, lists.list());
    // Its connection is free for a service beyond the budget.
    this.select(clock.now(), true);
  }

  /** @returns whether they are others than before */
  private noteBeyond(beyond: readonly string[], selected: number, budget: Budget): boolean {
    const before = this.beyondBudget;
    this.beyondBudget = beyond;
    if (before.length === 0 && beyond.length > 0) reportBeyond(this.parts.logger, budget, beyond, selected);
    return beyond.length !== before.length || beyond.some((name, at) => name !== before[at]);
  }
}
