import { createServer } from "node:net";

/** Below what Linux gives to those who ask for any port: neither a server on port 0 nor an outgoing connection has one. */
const range = { from: 10_000, to: 32_767 };

/** A TCP port of 127.0.0.1 that was free a moment ago. Someone may take it before you do: be ready to try again. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = range.from + Math.floor(Math.random() * (range.to - range.from + 1));
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port from ${range.from} to ${range.to}`);
}

/** On every address: what is to bind it may want them all. */
async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const free = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, () => resolve(true));
  });
  if (free) await new Promise((resolve) => server.close(resolve));
  return free;
}
