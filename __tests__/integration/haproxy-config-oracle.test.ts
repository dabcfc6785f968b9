// biome-ignore-all lint/suspicious/noTemplateCurlyInString: HAProxy writes variables like this

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { withGlobalLines } from "../../src/haproxy/config/global-lines.ts";
import { parseConfig } from "../../src/haproxy/config/parse.ts";
import { serverLines } from "../../src/haproxy/config/servers.ts";
import { quoteWord, splitWords, tokenize } from "../../src/haproxy/config/words.ts";
import { canonicalIp } from "../../src/support/ip.ts";
import { haproxyBinary } from "../support/binaries.ts";

let directory = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-config-"));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** `haproxy -c`, with its messages as bytes: one character per byte. */
async function check(text: string): Promise<{ readonly ok: boolean; readonly output: string }> {
  const file = join(directory, "checked.cfg");
  await writeFile(file, text);
  const { status, stdout, stderr } = spawnSync(haproxyBinary, ["-c", "-f", file], {
    encoding: "latin1",
    env: { ...process.env, A: "value", B: "x y" },
  });
  if (status === null) throw new Error(`${haproxyBinary} cannot be run`);
  return { ok: status === 0, output: stdout + stderr };
}

/** What HAProxy says of each line, by its number from 1: `[ALERT] (PID) : config : parsing [FILE:LINE]: MESSAGE`. */
async function messages(text: string): Promise<ReadonlyMap<number, string>> {
  const { output } = await check(text);
  const found = new Map<number, string>();
  for (const part of output.split(/(?:^|\n)(?=\[(?:NOTICE|WARNING|ALERT)\])/)) {
    const [, line, message] =
      /^\[\w+\] +\(\d+\) : (?:config : )?parsing \[[^\]]*:(\d+)\] ?: ([\s\S]*)$/.exec(part) ?? [];
    if (line !== undefined && message !== undefined) found.set(Number(line), message);
  }
  return found;
}

/** A word as HAProxy holds it: UTF-8, and a byte for what was written as `\xHH`. */
function bytes(word: string): string {
  return [...word]
    .map((one) =>
      /[\udc80-\udcff]/.test(one)
        ? String.fromCharCode(one.charCodeAt(0) - 0xdc00)
        : Buffer.from(one).toString("latin1"),
    )
    .join("");
}

/**
 * Asks HAProxy for the first two words of lines. `.notice` says its first argument back and complains of the second
 * by name, so that each line is asked twice: alone, and behind another argument.
 */
async function expectSameWords(
  raws: readonly string[],
  expand: (word: string) => string = (word) => word,
): Promise<void> {
  // HAProxy gives up a file after 50 lines that it cannot split; from 3.2 on, one such line and it says nothing of the
  // others (measured on 3.2.26). So these are asked apart from those.
  const batch = 20;
  const whole = raws.filter(isWhole);
  const split = raws.filter((raw) => !isWhole(raw));
  for (const like of [whole, split]) {
    for (let at = 0; at < like.length; at += batch) await expectSameBatch(like.slice(at, at + batch), expand);
  }
}

/** Whether HAProxy is expected to refuse to split it. */
function isWhole(raw: string): boolean {
  const line = `.notice ${raw}`;
  return raw !== "" && splitWords(line)[0] === line;
}

async function expectSameBatch(raws: readonly string[], expand: (word: string) => string): Promise<void> {
  const said = await messages(raws.map((raw) => `.notice ${raw}\n.notice - ${raw}\n`).join(""));
  for (const [index, raw] of raws.entries()) {
    const [, ...words] = splitWords(`.notice ${raw}`);
    const [alone, behind] = [said.get(index * 2 + 1), said.get(index * 2 + 2)];
    if (isWhole(raw)) {
      expect([raw, alone]).toEqual([raw, expect.stringMatching(/^(?:unmatched|truncated|forbidden)/)]);
      continue;
    }
    const [one = "", two = ""] = words.map((word) => bytes(expand(word)));
    expect([raw, alone]).toEqual([
      raw,
      expect.stringContaining(two === "" ? `'${one}'.` : `Unexpected argument '${two}' for`),
    ]);
    expect([raw, behind]).toEqual([
      raw,
      expect.stringContaining(one === "" ? "'-'." : `Unexpected argument '${one}' for`),
    ]);
  }
}

describe("words", () => {
  test("lines of all kinds split as HAProxy splits them", async () => {
    await expectSameWords([
      "a",
      "a b",
      "a#b c",
      "a \\# c",
      "'a#b' \"c#d\"",
      "a\\ b c",
      "'a b'\"c d\"\\ e f",
      "'' b",
      '""',
      "\\x41\\x7e \\xe9\\xc3\\xa9",
      "\\n\\t\\r|",
      '"\\n\\"\\\'\\\\\\ \\#"',
      "'\\n\\\\'",
      "\\q\\$\\X41",
      '"\\q\\X"',
      "end\\",
      "$A ${A}",
      "'$A'",
      '"\\$A"',
      '"a\\tb"',
      "a\tb",
      "a\vb",
      "a\fb",
      "a\rb",
      "a \r b",
      "a\r b",
      "a\u00a0b",
      "é 日本",
      "\\x4",
      "\\xzz",
      '"a',
      "'a",
      '"a\rb"',
      '"a\\',
      '"$"',
      '"a$ b"',
      '"${A"',
      '"${}"',
      '"$1"',
      '"${A B}"',
      '"^/x$"',
      "^/x$",
      "[a] b",
      "a'b'c \"d\"e",
      "\\",
    ]);
  });

  test("variables stand where HAProxy puts them in", async () => {
    const values: Readonly<Record<string, string>> = {
      $A: "value",
      "${A}": "value",
      "${NOPE}": "",
      "${NOPE-a b}": "a b",
      '${NOPE-"q"#}': '"q"#',
      "${NOPE-$A}": "$A",
      "${NOPE-a\\}": "a\\",
    };
    const expand = (word: string) => word.replace(/\$(?:\{[^}]*\}|A)/g, (written) => values[written] ?? written);
    const raws = [
      '"$A" b',
      '"x$A.y"',
      '"${A}"z',
      '"$A[*]"',
      '"[${NOPE}]"',
      '"${NOPE-a b}" c',
      '"${NOPE-"q"#}" c',
      '"${NOPE-$A}"',
      '"${NOPE-a\\}b"',
    ];
    expect(raws.every((raw) => tokenize(raw).variables !== undefined)).toBe(true);
    await expectSameWords(raws, expand);
  });

  test("any line splits as HAProxy splits it", async () => {
    const character = fc.constantFrom(..."ab14x \t'\"\\#$n{}[]*\r\v\fé");
    const raws = fc.sample(fc.string({ unit: character, maxLength: 14 }), 600);
    await expectSameWords(raws.filter((raw) => tokenize(raw).variables === undefined));
  });

  test("a quoted word is read back as it was", async () => {
    const words = [
      'it\'s \\ a #1 "$A" ${B}',
      "a b",
      "#",
      "\\n",
      "\\x41",
      "\udce9",
      "é'日",
      "$A",
      "%[path]",
      "^/(a|b)$ {x}",
      ...fc.sample(
        fc.string({ unit: fc.constantFrom(..."a1x '\"\\#$n{}[]()*%é\udc80"), minLength: 1, maxLength: 12 }),
        200,
      ),
    ];
    const said = await messages(words.map((word) => `.notice ${quoteWord(word)}\n`).join(""));
    expect(words.map((_, index) => said.get(index + 1)?.trimEnd())).toEqual(words.map((word) => `'${bytes(word)}'.`));
  });
});

describe("sections", () => {
  test.each([
    "global",
    "defaults",
    "frontend f",
    "backend b",
    "   listen l",
    '\t"back"end b',
    "\\x62ackend b",
    "backendx b",
    "# global",
    "global#x",
    "\v\f\rglobal",
    "'frontend' g",
    "'frontend h'",
    "Backend b",
    "peers p",
    "userlist u",
    "mailers m",
    "cache c",
    "http-errors e",
    "fcgi-app a",
    "log-forward l",
    "[global]",
  ])("HAProxy is where we are behind %j", async (header) => {
    const text = `resolvers r\n${header}\nzzz\n`;
    const said = (await messages(text)).get(3);
    const theirs = /unknown keyword 'zzz' in '?([a-z-]+)'? section/.exec(said ?? "")?.[1];
    const ours = parseConfig(text).sections.at(-1)?.kind;
    // HAProxy calls a userlist "users" in this message.
    expect(theirs === "users" ? "userlist" : theirs).toBe(ours);
  });
});

describe("a running HAProxy", () => {
  const head = (socket: string) => `global\n  resetenv\n  stats socket ${socket} mode 600 level admin\n`;
  const body = `defaults one
  timeout connect 1s
  timeout server 1s
  timeout client 1s
  default-server weight 7 inter 10s
backend q
  server a 1.2.3.4:80
  server b 1.2.3.4:80 weight 3
  default-server weight 9
  server c 1.2.3.4:80
  default-server disabled
  server d 1.2.3.4:80
  server e 1.2.3.4:80 enabled
  server f 1.2.3.4:80 enabled disabled
  server g 1.2.3.4:80 weight 4 weight 0 enabled
defaults two from one
  default-server weight 8
defaults from two
  default-server maxconn 5
backend r
  server a 1.2.3.4:80
defaults
  timeout connect 1s
  timeout server 1s
  timeout client 1s
  listen "s"
    bind /DIRECTORY/l.sock
    server a ::1:80
    server b [2001:DB8:0:0::1]:80
    server c ipv6@[::1]:90
    server d ipv4@1.2.3.4:80
    server e tcp@1.2.3.4:81
    server f 2001:db8::1:
    server g 2001:0db8:0:1:1:1:1:1:80
    server h 1.2.3.4
    server i *:80
    server j :80
    server k *
    server l :::80
    server m fe80:0:0:1:0:0:0:1:80
    server n 2001:0:0:1:0:0:1:1:80
    server o 1.2.3.4:080
    server p [::1]
    server q 1.2.3.4:
    server r ::ffff:1.2.3.4:80
    server s 1.2.3.4:80 observe layer4 weight 12 error-limit 5
.if streq(a,b)
    server not-there 1.2.3.4:80
.endif
`;

  /** Runs HAProxy on a text until the work is done. */
  async function running<T>(text: string, socket: string, work: () => Promise<T>): Promise<T> {
    const file = join(directory, "running.cfg");
    await writeFile(file, text);
    const process = spawn(haproxyBinary, ["-db", "-f", file], { stdio: "ignore" });
    const exit = once(process, "exit");
    try {
      for (let left = 200; ; left -= 1) {
        try {
          await ask(socket, "show info");
          return await work();
        } catch (thrown) {
          if (left === 0 || process.exitCode !== null || !/ECONNREFUSED|ENOENT/.test(String(thrown))) throw thrown;
          await sleep(50);
        }
      }
    } finally {
      process.kill("SIGKILL");
      await exit;
    }
  }

  async function ask(socket: string, command: string): Promise<string> {
    const connection = connect(socket);
    connection.write(`${command}\n`);
    let answer = "";
    for await (const chunk of connection) answer += String(chunk);
    return answer;
  }

  test("has the servers we read, and tells our digest back", async () => {
    const socket = join(directory, "r.sock");
    const text = withGlobalLines(head(socket) + body.replace("/DIRECTORY", directory), {
      structure: "0123abcd",
      statsSocket: socket,
    });
    const { state, digest } = await running(text, socket, async () => ({
      state: await ask(socket, "show servers state"),
      digest: await ask(socket, "show env SLUICE_STRUCTURE"),
    }));
    expect(digest.trim()).toBe("SLUICE_STRUCTURE=0123abcd");
    // be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight … (field 19: srv_port)
    const theirs = state
      .split("\n")
      .filter((line) => /^\d+ /.test(line))
      .map((line) => line.split(" "))
      .map((fields) => ({
        backend: fields[1],
        name: fields[3],
        address: canonicalIp(fields[4] ?? ""),
        port: Number(fields[18]),
        weight: Number(fields[7]),
        maintenance: (Number(fields[6]) & 5) !== 0,
      }));
    const ours = parseConfig(text).sections.flatMap((section) =>
      serverLines(section).map(({ name, address, port, weight, maintenance }) => ({
        backend: section.name,
        name,
        address,
        port,
        weight,
        maintenance,
      })),
    );
    expect(theirs).toHaveLength(27);
    expect(ours).toEqual(theirs);
  });
});

describe("what is written", () => {
  test.each([
    "",
    "# c\n",
    "frontend f\n  mode tcp\n  timeout client 1s\n  bind 127.0.0.1:1\n",
    "global # g\n  maxconn 9\n\nglobal\n  resetenv\n",
  ])("HAProxy accepts our global lines in %j", async (text) => {
    const listener = "listen l\n  bind 127.0.0.1:1\n  timeout client 1s\n  timeout server 1s\n  timeout connect 1s\n";
    const path = join(directory, "it's #1.sock");
    expect(await check(withGlobalLines(text + listener, { structure: "0123abcd", statsSocket: path }))).toMatchObject({
      ok: true,
    });
  });
});
