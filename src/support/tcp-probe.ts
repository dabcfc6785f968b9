import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { canonicalIp } from "./ip.ts";
import { isShortage } from "./shortage.ts";

/** `silent`: neither yes nor no in time. Only `refuses` is proof that nobody listens. */
export type ProbeAnswer = "accepts" | "refuses" | "silent";

/** Until it is tried again to ask. */
const shortageMs = 100;

/**
 * Whether something accepts a TCP connection at this place within `timeoutMs`. Never throws: where there can be no such
 * place (a host name, port 70000; the catalog holds anything) nobody listens. While this process has no file descriptor
 * left to ask with, it waits: nobody is to be taken for silent who was not asked.
 */
export async function probeTcp(address: string, port: number, timeoutMs: number): Promise<ProbeAnswer> {
  if (canonicalIp(address) === undefined || !(Number.isInteger(port) && port > 0 && port < 65_536)) return "refuses";
  for (;;) {
    const answer = await probeOnce(address, port, timeoutMs);
    if (answer !== "unasked") return answer;
    await sleep(shortageMs, undefined, { ref: false });
  }
}

function probeOnce(address: string, port: number, timeoutMs: number): Promise<ProbeAnswer | "unasked"> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const end = (answer: ProbeAnswer | "unasked") => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    // Behind a busy turn of the loop the timer comes first, although the connection stands: look once more.
    const timer = setTimeout(() => setImmediate(() => end("silent")), timeoutMs);
    socket.once("connect", () => end("accepts"));
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (isShortage(error)) end("unasked");
      else end(error.code === "ECONNREFUSED" ? "refuses" : "silent");
    });
  });
}
