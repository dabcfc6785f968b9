import type { Accepted } from "../guard/types.ts";
import type { SectionCache } from "../haproxy/config/parse.ts";
import type { LeavingServer } from "../haproxy/plan/types.ts";
import type { Clock } from "../support/clock.ts";
import type { Inputs } from "./desire.ts";
import type { EventLog } from "./events.ts";
import type {
  CatalogPort,
  CertificatesPort,
  KeptQuarantine,
  ProbePort,
  ProcessPort,
  RenderPort,
  RuntimePort,
  StorePort,
} from "./ports.ts";
import type { Running } from "./running.ts";

export interface ReconcilerParts {
  readonly catalog: CatalogPort;
  readonly runtime: RuntimePort;
  readonly process: ProcessPort;
  readonly store: StorePort;
  readonly render: RenderPort;
  readonly probe: ProbePort;
  /** Undefined where nothing is served over TLS. */
  readonly certificates?: CertificatesPort;
  readonly clock: Clock;
  readonly events: EventLog;
  readonly sections: SectionCache;
  /** Path of the Runtime API's socket. */
  readonly runtimeSocket: string;
  /** Called when other settings or another template have come into force. */
  readonly onInputs: (inputs: Inputs) => void;
  /** Called with the names that HAProxy is to be registered under in Consul, each time what is wanted was made anew. */
  readonly onRegisters?: (names: readonly string[]) => void;
}

/** Where the reconciler begins: what the state directory knows. */
export interface Beginning {
  /** In force from the start: the inputs that were last good, or today's where there are none. */
  readonly inputs: Inputs;
  /** Today's inputs where they differ from those. */
  readonly candidate?: Inputs;
  /** The services that were accepted last. */
  readonly accepted?: Accepted;
  /** What was in quarantine. */
  readonly quarantine?: KeptQuarantine;
  /** The live file; undefined on the very first start. */
  readonly running?: Running;
  /** Certificates and their list as they lie on the disk, by path. */
  readonly certificates?: ReadonlyMap<string, string>;
  readonly generation: number;
  readonly leaving: readonly LeavingServer[];
}
