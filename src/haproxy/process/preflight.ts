import { type Stats, statSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import type { ConfigProblem, Verdict } from "../../reconciler/ports.ts";
import { systemErrorCode } from "../../support/errors.ts";
import { hostAndPort } from "../../support/ip.ts";
import { parseConfig } from "../config/parse.ts";
import type { Config } from "../config/types.ts";
import { type Bind, bindsOf, covers, type TcpBind, unconditionalLines } from "./binds.ts";

export interface PreflightInput {
  readonly candidateText: string;
  /** What our process runs; undefined when none runs. Its addresses are its own to keep. */
  readonly runningText: string | undefined;
  /**
   * Whether HAProxy may listen where this process may not. A binary with file capabilities can, and a master that was
   * started as root.
   */
  readonly mayBindLowPorts: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** A range wider than this is tried up to here. */
const mostPorts = 1_000;

/**
 * What `haproxy -c` cannot see and a reload would pay for dearly: an address another process holds pauses all listeners
 * for 2 s, and a missing chroot ends HAProxy 2.6 and 3.0 altogether (measured). Each address that is new is tried by
 * listening on it for a moment.
 */
export async function preflightConfig(input: PreflightInput): Promise<Verdict> {
  const { candidateText, runningText, signal } = input;
  signal?.throwIfAborted();
  const config = parseConfig(candidateText);
  const binds = bindsOf(config);
  const running = runningText === undefined ? [] : bindsOf(parseConfig(runningText));
  const problems: ConfigProblem[] = [...chrootProblems(config)];
  for (const bind of binds) {
    const problem = bind.kind === "unix" ? directoryProblem(bind) : await addressProblem(bind, running, input);
    signal?.throwIfAborted();
    if (problem !== undefined) problems.push(problem);
  }
  problems.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  return problems.length === 0 ? { ok: true, warnings: [] } : { ok: false, stage: "preflight", problems };
}

function chrootProblems(config: Config): readonly ConfigProblem[] {
  return unconditionalLines(config).flatMap(({ section, line: { words, variables }, number }) => {
    const directory = words[1];
    if (section !== "global" || words[0] !== "chroot" || directory === undefined || variables !== undefined) return [];
    if (statOf(directory)?.isDirectory()) return [];
    return [
      { line: number, message: `chroot ${directory}: there is no such directory; create it or take the line out` },
    ];
  });
}

function directoryProblem({ path: file, text, line }: Bind & { readonly kind: "unix" }): ConfigProblem | undefined {
  const directory = path.dirname(file);
  if (statOf(directory)?.isDirectory()) return undefined;
  return { line, message: `socket ${text}: there is no directory ${directory}; create it` };
}

function statOf(file: string): Stats | undefined {
  return statSync(file, { throwIfNoEntry: false });
}

async function addressProblem(
  bind: TcpBind,
  running: readonly Bind[],
  { mayBindLowPorts, signal }: PreflightInput,
): Promise<ConfigProblem | undefined> {
  const lastPort = Math.min(bind.lastPort, bind.firstPort + mostPorts - 1);
  for (let port = bind.firstPort; port <= lastPort && signal?.aborted !== true; port += 1) {
    if (running.some((own) => own.kind === "tcp" && covers(own, bind.host, port))) continue;
    const failure = await tryListening(bind, port);
    const message = failure === undefined ? undefined : explain(bind, port, failure, mayBindLowPorts);
    if (message !== undefined) return { line: bind.line, message };
  }
  return undefined;
}

/** Listens and lets go. Exclusive, unlike HAProxy, which would share a port with a process of the same user. */
function tryListening({ host, v6only }: TcpBind, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) => resolve(systemErrorCode(error) ?? error.message));
    server.listen({ host, port, exclusive: true, ipv6Only: v6only }, () => server.close(() => resolve(undefined)));
  });
}

function explain(
  { host, text, transparent }: TcpBind,
  port: number,
  code: string,
  lowPorts: boolean,
): string | undefined {
  const where = `bind ${text}: ${hostAndPort(host, port)}`;
  switch (code) {
    case "EADDRINUSE":
      return `${where} is in use by another process; end it (ss -ltnp "sport = :${port}" names it) or choose another port`;
    case "EACCES":
      if (lowPorts) return undefined;
      return `${where} needs a privilege; choose a port from 1024 up, or give HAProxy the capability CAP_NET_BIND_SERVICE`;
    case "EADDRNOTAVAIL":
      if (transparent) return undefined;
      return `${where} is not an address of this machine; correct it, or add "transparent"`;
    // A name that cannot be resolved is for `haproxy -c` to judge.
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return undefined;
    default:
      return `${where} cannot be listened on (${code}); correct the address`;
  }
}
