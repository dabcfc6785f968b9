import { z } from "zod";
import { duration, durationWithin } from "../../settings/duration.ts";
import { nearest } from "../../settings/nearest.ts";
import { text } from "../../settings/text.ts";
import { canonicalIp } from "../../support/ip.ts";
import { isUsableId } from "../usable-id.ts";

/** An option of `sluice register`: its flag, the variables that say the same, and what it takes. */
export interface RegisterOption {
  /** `--check-path` */
  readonly flag: string;
  /** What stands for its value in the help; undefined: it takes none. */
  readonly value?: string;
  /** The names people have for it, besides its own: {@link variableOf}. */
  readonly known?: readonly string[];
  readonly default?: string;
  readonly help: string;
  /** May be given several times. */
  readonly repeats?: boolean;
  readonly schema: z.ZodType;
}

export const checkKinds = ["ttl", "tcp", "http", "grpc", "none"] as const;
export type CheckKind = (typeof checkKinds)[number];

const port = z.string().refine((value) => /^\d{1,5}$/.test(value) && Number(value) > 0 && Number(value) < 65_536, {
  error: "not a port; write a number from 1 to 65535",
});
const portNumber = port.transform(Number);

const id = text.refine(isUsableId, { error: "not an id: Consul could not be told to forget it" });

const address = text.refine((value) => canonicalIp(value) !== undefined && !/^(0\.0\.0\.0|::)$/.test(value), {
  error: "not an IP address that others can reach",
});

const stopSignals = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH"] as const;

/** A word of a list, in any case; what is not in it is told with the nearest. */
function oneOf<const T extends readonly string[]>(words: T) {
  return z.string().transform((value, context): T[number] => {
    const found = words.find((word) => word.toLowerCase() === value.trim().toLowerCase());
    if (found !== undefined) return found;
    const near = nearest(value, words);
    const advice = near === undefined ? `known: ${words.join(", ")}` : `did you mean ${near}?`;
    context.addIssue({ code: "custom", message: `unknown; ${advice}` });
    return z.NEVER;
  });
}

/** `5000`, `10.0.0.5:5000`, `[::1]:5000` */
const listen = z.string().transform((value, context) => {
  const [, bracketed, plain, digits = ""] = /^(?:(?:\[([^\]]*)\]|([^:]*)):)?(\d{1,5})$/.exec(value.trim()) ?? [];
  const host = bracketed ?? plain;
  const named = host === "localhost" ? "127.0.0.1" : host;
  if (port.safeParse(digits).success && (named === undefined || canonicalIp(named) !== undefined)) {
    return { ...(named !== undefined && { host: named }), port: Number(digits) };
  }
  context.addIssue({ code: "custom", message: "not a place to connect to; write 5000 or 127.0.0.1:5000" });
  return z.NEVER;
});

const pair = z.string().transform((value, context): readonly [string, string] => {
  const at = value.indexOf("=");
  if (at > 0) return [value.slice(0, at).trim(), value.slice(at + 1).trim()];
  context.addIssue({ code: "custom", message: "not a key and a value; write version=2" });
  return z.NEVER;
});

const statsUrl = z.string().refine((value) => /^https?:\/\/[^\s/]/.test(value) && URL.canParse(value), {
  error: "not the address of a stats page; write http://lb:9000/haproxy_stats",
});

const path = text.refine((value) => !/\s|:\/\//.test(value), {
  error: "not a path; write /health without a host (of a gRPC check: the name of a service)",
});

/** All options, in the order in which the help shows them. */
export const registerOptions = {
  name: { flag: "--name", value: "name", known: ["APP_NAME"], help: "the service's name", schema: text },
  port: { flag: "--port", value: "port", known: ["APP_PORT"], help: "the port others reach it at", schema: portNumber },
  id: { flag: "--id", value: "id", help: "its id (default: <host name>-<name>-<port>)", schema: id },
  address: {
    flag: "--address",
    value: "ip",
    help: "the address others reach it at (default: the agent's own where the agent is on this host, else this host's towards the agent)",
    schema: address,
  },
  listen: {
    flag: "--listen",
    value: "[ip:]port",
    help: "where the process itself listens, if not at --port on 127.0.0.1 or an address of this host",
    schema: listen,
  },
  tag: { flag: "--tag", value: "tag", repeats: true, help: "a tag; may be given several times", schema: text },
  tags: { flag: "--tags", value: "a,b", known: ["TAGS"], help: "tags with a comma between them", schema: text },
  meta: { flag: "--meta", value: "key=value", repeats: true, help: "meta; may be given several times", schema: pair },
  check: {
    flag: "--check",
    value: "kind",
    known: ["HEALTH_CHECK_TYPE"],
    help: `${checkKinds.join("|")}: ttl is kept by this command, the others are done by the agent (default: ttl; with --once: tcp)`,
    schema: oneOf(checkKinds),
  },
  checkPath: {
    flag: "--check-path",
    value: "path",
    known: ["HEALTH_CHECK_ENDPOINT"],
    help: "what is asked for: a path (http, default /) or the name of a service (grpc)",
    schema: path,
  },
  checkInterval: {
    flag: "--check-interval",
    value: "time",
    default: "5s",
    help: "time between two checks; a TTL is three times as long",
    schema: durationWithin({ minMs: 100, maxMs: 3_600_000 }),
  },
  checkTimeout: {
    flag: "--check-timeout",
    value: "time",
    default: "2s",
    help: "how long an answer may take",
    schema: durationWithin({ minMs: 10, maxMs: 600_000 }),
  },
  deregisterAfter: {
    flag: "--deregister-after",
    value: "time",
    help: "Consul forgets it when critical for so long; 0: never, else 1m at least (default: 90s; with --once: 0)",
    schema: duration.refine((ms) => ms === 0 || ms >= 60_000, {
      error: "too short; Consul takes 1m at least (or 0: never)",
    }),
  },
  retries: {
    flag: "--retries",
    value: "count",
    default: "10",
    help: "how often registering is tried before it fails",
    schema: z
      .string()
      .refine((value) => /^[1-9]\d{0,5}$/.test(value), { error: "not a number of tries; write 1 or more" })
      .transform(Number),
  },
  retryInterval: {
    flag: "--retry-interval",
    value: "time",
    default: "1s",
    help: "time between two tries",
    schema: durationWithin({ maxMs: 3_600_000 }),
  },
  wait: {
    flag: "--wait",
    value: "time",
    default: "60s",
    help: "how long the port may take to answer",
    schema: durationWithin({ minMs: 1 }),
  },
  drain: {
    flag: "--drain",
    value: "time",
    default: "5s",
    help: "time in maintenance before the process is told to stop",
    schema: duration,
  },
  haproxy: {
    flag: "--haproxy",
    value: "url,…",
    help: "stats pages of the load balancers; the drain ends when none of them has anything left. User and password: the settings stats.user and stats.password",
    schema: z
      .string()
      .transform((value) => value.split(",").map((one) => one.trim()))
      .pipe(z.array(statsUrl)),
  },
  grace: {
    flag: "--grace",
    value: "time",
    default: "10s",
    help: "how long the process may take to stop before it is killed",
    schema: duration,
  },
  stopSignal: {
    flag: "--stop-signal",
    value: "signal",
    help: "what the process is told to stop with (default: the signal that came)",
    schema: oneOf(stopSignals),
  },
  once: {
    flag: "--once",
    help: "register a service that runs elsewhere, and exit",
    schema: oneOf(["true", "false"]).transform((value) => value === "true"),
  },
} as const satisfies Readonly<Record<string, RegisterOption>>;

export type RegisterOptionName = keyof typeof registerOptions;

/** The variable of an option: `--check-path` is `SLUICE_REGISTER_CHECK_PATH`. */
export function variableOf({ flag }: Pick<RegisterOption, "flag">): string {
  return `SLUICE_REGISTER_${flag.slice(2).replaceAll("-", "_").toUpperCase()}`;
}
