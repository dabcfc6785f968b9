import { z } from "zod";
import { SluiceError } from "../support/errors.ts";

const schemaVersion = 1;

const leavingServer = z.object({
  backend: z.string(),
  server: z.string(),
  address: z.string().default(""),
  port: z.number().default(0),
  options: z.array(z.string()).optional(),
  since: z.number(),
});

const storedStateSchema = z.object({
  schema: z.literal(schemaVersion),
  /** Counts the configurations that were committed. */
  generation: z.number().int().nonnegative(),
  leaving: z.array(leavingServer),
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
  readonly schema: 1;
  readonly generation: number;
  readonly leaving: readonly LeavingServer[];
}

/** What `saveState` changes. */
export type StateChange = Partial<Pick<StoredState, "generation" | "leaving">>;

export const initialState: StoredState = { schema: schemaVersion, generation: 0, leaving: [] };

/**
 * The content of state.json; undefined when it is broken.
 *
 * @throws {SluiceError} ERR_STATE_VERSION when a newer Sluice wrote it
 */
export function parseState(text: string, file: string): StoredState | undefined {
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
  const parsed = storedStateSchema.safeParse(json);
  if (!parsed.success) return undefined;
  const leaving = parsed.data.leaving.map((server) => ({ ...server, options: server.options }));
  return { ...initialState, ...parsed.data, leaving };
}
