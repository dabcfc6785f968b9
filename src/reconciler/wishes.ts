import type { Accepted } from "../guard/types.ts";
import type { ObservedServer } from "../haproxy/runtime/types.ts";
import type { Admission } from "./admission.ts";
import type { ReconcilerParts } from "./beginning.ts";
import type { ClosedPorts } from "./closed-ports.ts";
import { createDesire, type Inputs, type Wish } from "./desire.ts";

export interface WishesParts extends Pick<ReconcilerParts, "render" | "sections" | "runtimeSocket"> {
  readonly admission: () => Pick<Admission, "admitted" | "doubted" | "doubt">;
  readonly closedPorts: () => Pick<ClosedPorts, "closed">;
  /** The settings and template in force. */
  readonly inForce: () => Inputs;
  readonly overrides: () => Accepted["overrides"];
}

/**
 * Makes wishes of services and inputs, with what is known besides: who is let in, who is doubted, what the operator
 * overrides, which ports stay closed. What is in force and what is on trial have a memory each, so that trying the one
 * does not cost the other its own.
 */
export class Wishes {
  private readonly parts: WishesParts;
  private readonly desire;
  private readonly desireCandidate;

  constructor(parts: WishesParts) {
    const { render, sections, runtimeSocket } = parts;
    this.parts = parts;
    this.desire = createDesire(render, sections, runtimeSocket);
    this.desireCandidate = createDesire(render, sections, runtimeSocket);
  }

  /** Throws what the renderer throws. */
  of(services: Wish["services"], inputs: Inputs, overrides: Wish["overrides"] = this.parts.overrides()): Wish {
    const desire = inputs === this.parts.inForce() ? this.desire : this.desireCandidate;
    const { admitted, doubted } = this.parts.admission();
    return desire(services, inputs, admitted, doubted, overrides, this.parts.closedPorts().closed);
  }

  /** The same wish, with those doubted that were found down. Pure but for the memory of doubt. */
  doubting(wish: Wish, down: readonly ObservedServer[]): Wish {
    return this.parts.admission().doubt(down) ? this.of(wish.services, wish.inputs, wish.overrides) : wish;
  }
}
