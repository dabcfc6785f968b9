import { createSocket } from "node:dgram";
import { type Stats, statSync } from "node:fs";
import { createServer, isIPv4 } from "node:net";
import { networkInterfaces } from "node:os";
import path from "node:path";
import type { ConfigProblem, Verdict } from "../../reconciler/ports.ts";
import { systemErrorCode } from "../../support/errors.ts";
import { hostAndPort } from "../../support/ip.ts";
import { parseConfig } from "../config/parse.ts";
import type { Config } from "../config/types.ts";
import { type AddressBind, type Bind, bindsOf, covers, hasPort, isAny, unconditionalLines } from "./binds.ts";
import { privilegeProblems } from "./privileges.ts";
import type { Rights } from "./rights.ts";

export interface PreflightInput {
  readonly candidateText: string;
  /** What our process runs; undefined when none runs. Its addresses are its own to keep. */
  readonly runningText: string | undefined;
  /**
   * What the master may do, which may be more than this process may: a binary with file capabilities, or a master that
   * was started as root. Undefined when none runs: HAProxy is asked itself then, it fails at once and harms nobody.
   */
  readonly rights: Rights | undefined;
  /** False where HAProxy's ports are not those of this process: none is tried. Default: true. */
  readonly tryAddresses?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** A range wider than this is tried up to here. */
const mostPorts = 1_000;

/**
 * What `haproxy -c` cannot see and a reload would pay for dearly: an address another process holds pauses all listeners
 * for 2 s; a missing chroot, or a user that HAProxy may not become, ends HAProxy 2.6 and 3.0 altogether (measured). Each address that is new is tried by
 * listening on it for a moment.
 *
 * Where any address is wanted and our own HAProxy holds some address at that port (`127.0.0.1:80` runs, `:80` comes),
 * that trial would fail on ourselves: then the other addresses of this machine's interfaces are tried one by one, and a
 * process that listens elsewhere, on 127.0.0.2 say, is not found. Of binds inside `.if` blocks and of addresses with
 * environment variables in them nothing is known (`bindsOf`): new ones are not tried, and an address that was written
 * so and is now written plainly passes for another process's.
 */
export async function preflightConfig(input: PreflightInput): Promise<Verdict> {
  const { candidateText, runningText, signal } = input;
  signal?.throwIfAborted();
  const config = parseConfig(candidateText);
  const binds = bindsOf(config);
  const running = runningText === undefined ? [] : bindsOf(parseConfig(runningText));
  const problems: ConfigProblem[] = [...chrootProblems(config)];
  if (input.rights !== undefined) problems.push(...privilegeProblems(config, input.rights));
  for (const bind of binds) {
    if (bind.kind !== "unix" && input.tryAddresses === false) continue;
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
  bind: AddressBind,
  running: readonly Bind[],
  { rights, signal }: PreflightInput,
): Promise<ConfigProblem | undefined> {
  const own = running.filter((other) => other.kind !== "unix");
  const mayBindLowPorts = rights === undefined || rights.has("CAP_NET_BIND_SERVICE");
  const lastPort = Math.min(bind.lastPort, bind.firstPort + mostPorts - 1);
  for (let port = bind.firstPort; port <= lastPort; port += 1) {
    for (const tried of trials(bind, own, port)) {
      if (signal?.aborted) return undefined;
      const failure = await (tried.kind === "tcp" ? tryListening(tried, port) : tryReceiving(tried, port));
      const message = failure === undefined ? undefined : explain(tried, port, failure, mayBindLowPorts);
      if (message !== undefined) return { line: bind.line, port, message };
    }
  }
  return undefined;
}

/** What has to be free for this: itself, or what is not our own of it. */
function trials(bind: AddressBind, own: readonly AddressBind[], port: number): readonly AddressBind[] {
  const isOwn = (wanted: AddressBind) => own.some((other) => covers(other, wanted, port));
  if (isOwn(bind)) return [];
  if (!isAny(bind) || !own.some((other) => hasPort(other, bind.kind, port))) return [bind];
  return (
    addressesOf(bind)
      // An interface may lose its address meanwhile: that is no obstacle to any address.
      .map((host) => ({ ...bind, host, transparent: true }))
      .filter((wanted) => !isOwn(wanted))
  );
}

/** The addresses of this machine's interfaces that any address stands for. */
function addressesOf({ host, v6only }: AddressBind): readonly string[] {
  const all = Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses.map((one) => (one.family === "IPv6" && one.scopeid !== 0 ? `${one.address}%${name}` : one.address)),
  );
  return all.filter((address) => (isIPv4(address) ? host === "0.0.0.0" || !v6only : host === "::"));
}

/** Listens and lets go. Exclusive, unlike HAProxy, which would share a port with a process of the same user. */
function tryListening({ host, v6only }: AddressBind, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) => resolve(systemErrorCode(error) ?? error.message));
    server.listen({ host, port, exclusive: true, ipv6Only: v6only }, () => server.close(() => resolve(undefined)));
  });
}

/** The same for datagrams. */
function tryReceiving({ host, v6only }: AddressBind, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket({ type: host.includes(":") ? "udp6" : "udp4", ipv6Only: v6only });
    socket.once("error", (error) => {
      socket.close();
      resolve(systemErrorCode(error) ?? error.message);
    });
    socket.bind({ address: host, port, exclusive: true }, () => socket.close(() => resolve(undefined)));
  });
}

function explain(
  { kind, keyword, host, text, transparent }: AddressBind,
  port: number,
  code: string,
  lowPorts: boolean,
): string | undefined {
  const where = `${keyword} ${text}: ${hostAndPort(host, port)}`;
  const sockets = kind === "udp" ? "ss -lunp" : "ss -ltnp";
  switch (code) {
    case "EADDRINUSE":
      return `${where} is in use by another process; end it (${sockets} "sport = :${port}" names it) or choose another port`;
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
