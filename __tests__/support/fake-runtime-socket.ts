import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";

/** Which version's framing is spoken. */
export interface FakeDialect {
  /** Echo `+ ` for each line of a payload (up to 3.0). */
  readonly payloadEcho: boolean;
}

/** What a command gets: the text before the prompt, or the end of the connection, or nothing ever. */
export type FakeAnswer = string | { readonly kind: "close"; readonly after: string } | { readonly kind: "silence" };

export interface FakeRuntimeOptions {
  /** Called with each command line, and the payload where it has one. The text is sent as it is, before `> `. */
  readonly answer: (line: string, payload: readonly string[]) => FakeAnswer;
  readonly dialect?: FakeDialect;
  /** How the bytes of the answers are cut into writes. Default: as they come. */
  readonly cut?: (bytes: Buffer) => readonly Buffer[];
}

export interface FakeRuntimeSocket {
  readonly path: string;
  /** Command lines received, over all connections, `prompt` left out. */
  readonly lines: readonly string[];
  /** How many connections were accepted. */
  connections(): number;
  /** Bytes of each chunk as received. */
  readonly chunks: readonly string[];
  /** Ends all connections that are open. */
  hangUp(): void;
  close(): Promise<void>;
}

/** A Unix socket that speaks the Runtime API's prompt mode. */
export async function fakeRuntimeSocket(options: FakeRuntimeOptions): Promise<FakeRuntimeSocket> {
  const { answer, dialect = { payloadEcho: true }, cut = (bytes) => [bytes] } = options;
  const directory = await mkdtemp(path.join(tmpdir(), "sluice-fake-"));
  const socketPath = path.join(directory, "r.sock");
  const lines: string[] = [];
  const chunks: string[] = [];
  const sockets = new Set<Socket>();
  let accepted = 0;

  const server = createServer((socket) => {
    accepted += 1;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    let rest = "";
    let payload: { line: string; rows: string[] } | undefined;
    const respond = (line: string, rows: readonly string[]) => {
      const said = line === "prompt" ? "\n" : answer(line, rows);
      if (line !== "prompt") lines.push(line);
      if (typeof said === "object" && said.kind === "silence") return;
      const echo = dialect.payloadEcho && rows.length > 0 ? "+ ".repeat(rows.length + 1) : "";
      const text = typeof said === "string" ? `${echo}${said}> ` : said.after;
      for (const part of cut(Buffer.from(text))) socket.write(part);
      if (typeof said === "object") socket.end();
    };
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      chunks.push(chunk);
      const parts = (rest + chunk).split("\n");
      rest = parts.pop() ?? "";
      for (const line of parts) {
        if (payload !== undefined && line !== "") payload.rows.push(line);
        else if (payload !== undefined) {
          const { line: command, rows } = payload;
          payload = undefined;
          respond(command, rows);
        } else if (line.endsWith(" <<")) payload = { line: line.slice(0, -3), rows: [] };
        else respond(line, []);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return {
    path: socketPath,
    lines,
    chunks,
    connections: () => accepted,
    hangUp: () => {
      for (const socket of sockets) socket.destroy();
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      await rm(directory, { recursive: true, force: true });
    },
  };
}
