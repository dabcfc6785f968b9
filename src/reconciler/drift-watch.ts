import type { ObservedBackends } from "../haproxy/plan/types.ts";
import type { Capabilities } from "../haproxy/runtime/types.ts";
import { announceDrift, mapDrift, serverDrift } from "./drift.ts";
import type { EventLog } from "./events.ts";
import type { Running, RunningState } from "./running.ts";

/** What differs from what was believed, and was not changed by ourselves since, is somebody else's doing. */
export class DriftWatch {
  private readonly events: EventLog;
  private readonly state: RunningState;
  /** What was believed to run when a resync was asked for, while nothing was being changed. */
  private believed: { readonly running: Running | undefined; readonly changes: number } | undefined;

  constructor(events: EventLog, state: RunningState) {
    this.events = events;
    this.state = state;
  }

  /** A resync is asked for while nothing is under way: what is believed now is what should be found. */
  note(): void {
    const { state } = this;
    if (state.believed) this.believed ??= { running: state.current, changes: state.changes };
  }

  /** Says what was found to differ, once. */
  say(observed: ObservedBackends, capabilities: Capabilities | undefined): void {
    const { state, believed } = this;
    this.believed = undefined;
    if (believed?.running === undefined || believed.changes !== state.changes) return;
    if (capabilities === undefined || state.current === undefined) return;
    announceDrift(this.events, [
      ...serverDrift({ believed: believed.running, observed, capabilities, leaving: state.leaving }),
      ...mapDrift(believed.running.maps, state.current.maps),
    ]);
  }
}
