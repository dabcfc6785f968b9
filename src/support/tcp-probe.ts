import { connect } from "node:net";

/** `silent`: neither yes nor no in time. Only `refuses` is proof that nobody listens. */
export type ProbeAnswer = "accepts" | "refuses" | "silent";

/** Whether something accepts a TCP connection at this place within `timeoutMs`. Never throws. */
export function probeTcp(address: string, port: number, timeoutMs: number): Promise<ProbeAnswer> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const end = (answer: ProbeAnswer) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    // Behind a busy turn of the loop the timer comes first, although the connection stands: look once more.
    const timer = setTimeout(() => setImmediate(() => end("silent")), timeoutMs);
    socket.once("connect", () => end("accepts"));
    socket.once("error", (error: NodeJS.ErrnoException) => end(error.code === "ECONNREFUSED" ? "refuses" : "silent"));
  });
}
