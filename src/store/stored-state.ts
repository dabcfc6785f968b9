import { z } from "zod";
import { SluiceError } from "../support/errors.ts";

const schemaVersion = 2;

const leavingServer = z.object({
  backend: z.string(),
  server: z.string(),
  address: z.string().default(""),
  port: z.number().default(0),
  options: z.array(z.string()).optional(),
  since: z.number(),
});

/** Since schema 1. */
const firstSchema = z.object({
  schema: z.literal(1),
  /** Counts the configurations that were committed. */
  generation: z.number().int().nonnegative(),
  leaving: z.array(leavingServer),
});

/** Since schema 2: what HAProxy judged the file. */
const storedStateSchema = firstSchema.extend({
  schema: z.literal(schemaVersion),
  haproxy: z.string().optional(),
});

/** A server in maintenance that waits to be deleted, as the plan knows it. */
export interface LeavingServer {
  readonly backend: string;
  readonly server: string;
  /** Empty where it is not known. */
  readonly address: string;
  /** 0 where it is not known. */
  readonly port: number;
  /** The words it runs with; undefined where they are not known. */
  readonly options: readonly string[] | undefined;
  /** Wall-clock ms at which it was put in maintenance. */
  readonly since: number;
}

/** What outlives the operator: the content of state.json. */
export interface StoredState {
  readonly schema: typeof schemaVersion;
  readonly generation: number;
  readonly leaving: readonly LeavingServer[];
  /** Version of the binary that accepted the file last; undefined where it is not known. */
  readonly haproxy: string | undefined;
}

/** What `saveState` changes. */
export type StateChange = Partial<Pick<StoredState, "generation" | "leaving" | "haproxy">>;

export const initialState: StoredState = { schema: schemaVersion, generation: 0, leaving: [], haproxy: undefined };

export interface ParsedState {
  readonly state: StoredState;
  /** The schema it was written in, where that is an older one. */
  readonly olderSchema?: number;
}

/**
 * The content of state.json, of whatever schema; undefined when it is broken.
 *
 * @throws {SluiceError} ERR_STATE_VERSION when a newer Sluice wrote it
 */
export function parseState(text: string, file: string): ParsedState | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  const version = z.object({ schema: z.number() }).safeParse(json);
  if (version.success && version.data.schema > schemaVersion) {
    throw new SluiceError(
      "ERR_STATE_VERSION",
      `${file} has schema ${version.data.schema}, this Sluice knows ${schemaVersion}: run the newer Sluice again, ` +
        "or move the file away (HAProxy is then reloaded once)",
      { details: { file, found: version.data.schema, known: schemaVersion } },
    );
  }
  const parsed = z.discriminatedUnion("schema", [firstSchema, storedStateSchema]).safeParse(json);
  if (!parsed.success) return undefined;
  const { data } = parsed;
  const leaving = data.leaving.map((server) => ({ ...server, options: server.options }));
  if (data.schema === 1) {
    return { state: { ...initialState, generation: data.generation, leaving }, olderSchema: data.schema };
  }
  return { state: { ...initialState, ...data, leaving, haproxy: data.haproxy } };
}
