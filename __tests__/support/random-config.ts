// biome-ignore-all lint/suspicious/noTemplateCurlyInString: HAProxy writes variables like this

import fc from "fast-check";

/** The environment HAProxy has to be asked with: what the configurations refer to. */
export const configEnvironment: Readonly<Record<string, string>> = { SLUICE_A: "10", SLUICE_B: "x y" };

/** A text that HAProxy reads as one word, in one of the ways to write it, and a word with a variable in it. */
const free = fc.oneof(
  fc.constantFrom(
    "a",
    "it\\'s",
    "'a b'",
    '"a b"',
    "a\\ b",
    "'#'",
    "\\#",
    '"\\""',
    "\\x41",
    '"\\x41\\\\"',
    "é",
    "'日 本'",
  ),
  fc.constantFrom(
    '"$SLUICE_A"',
    '"${SLUICE_B}"',
    '"${NOPE-d e}"',
    '"a\\$b"',
    "'$SLUICE_A'",
    "$SLUICE_A",
    '"\\t|"',
    "a''b",
  ),
  fc.string({ unit: fc.constantFrom(..."ab1 .-\\'\"#$\t"), minLength: 1, maxLength: 6 }).map(
    // One that is sure to be one word.
    (text) => `'${text.replaceAll("'", "")}x'`,
  ),
);
const name = fc.constantFrom("a", "b.c", "'d-1'", '"e"', "f\\x31", "g_h:i");
const time = fc.constantFrom("1s", "500ms", "'2s'", '"${SLUICE_A}s"', "3000");

const line = (...parts: readonly (string | fc.Arbitrary<string>)[]): fc.Arbitrary<string> =>
  fc
    .tuple(...parts.map((part) => (typeof part === "string" ? fc.constant(part) : part)))
    .map((words) => words.join(" "));

/** Lines that HAProxy takes, most of them; behind each section's own. */
const anywhere = fc.constantFrom("", "# c", "  # it's \"c", "\t", "#", " \\#x # not a comment");
const options = fc.subarray(["check", "weight 5", "inter 2s", "disabled", "backup", '"maxconn" 10', "weight '0'"]);
const server = fc
  .tuple(
    fc.integer({ min: 1, max: 9_999 }),
    fc.constantFrom("10.0.0.1:80", "'10.0.0.2:81'", "[::1]:80", "10.0.0.3:\\x38\\x30", '"10.0.0.4:${SLUICE_A}"'),
    options,
  )
  .map(([number, address, words]) => `server s${number} ${[address, ...words].join(" ")}`);

const inGlobal = fc.oneof(
  line("setenv", fc.constantFrom("C", "D"), free),
  line("presetenv", "C", free),
  line("description", free),
  line("maxconn", fc.constantFrom("100", '"$SLUICE_A"')),
  line("hard-stop-after", time),
  line("node", fc.constantFrom("n", "'n'")),
);
const inProxy = fc.oneof(
  line("description", free),
  line("timeout client", time),
  line("timeout connect", time),
  line("timeout server", time),
  line("option", fc.constantFrom("httplog", "'dontlognull'", '"forwardfor"')),
  line("http-response set-header", fc.constantFrom("X", '"Y"', "'Z'"), free),
  line("acl", name, fc.constantFrom("path_beg", "hdr(host)", "'path'"), free, "#", free),
  line("http-request deny if {", fc.constantFrom("path", "src"), free, "}"),
  line("log-format", free),
  anywhere,
);
const withServers = fc.oneof(
  { weight: 3, arbitrary: server },
  line(
    "default-server",
    options.map((words) => ["check", ...words].join(" ")),
  ),
  line("balance", fc.constantFrom("roundrobin", "'leastconn'", "uri depth 3", '"source"')),
  inProxy,
);

const block = (lines: fc.Arbitrary<string>, max: number) => fc.array(lines, { maxLength: max });
const numbered = (kind: string) => fc.integer({ min: 1, max: 999 }).map((number) => `${kind} p${number}`);
const section = fc.oneof(
  fc.tuple(fc.constantFrom("global", '"global"', "global # g"), block(inGlobal, 3)),
  fc.tuple(fc.constantFrom("defaults", "defaults d1", "\\x64efaults 'd2'"), block(inProxy, 3)),
  { weight: 3, arbitrary: fc.tuple(numbered("backend"), block(withServers, 5)) },
  { weight: 2, arbitrary: fc.tuple(numbered("'listen'"), block(withServers, 4)) },
  fc.tuple(numbered("frontend"), block(inProxy, 4)),
  fc.tuple(numbered("userlist"), block(line("user", name, "insecure-password", free), 2)),
  fc.tuple(numbered("resolvers"), block(fc.constantFrom("nameserver 'n1' 10.0.0.1:53", "hold valid 1s"), 2)),
);

const condition = fc.constantFrom(
  "1",
  "0",
  'streq("$SLUICE_A",10)',
  'streq("$SLUICE_B",x\\ y)',
  "streq(a,'b')",
  "defined(SLUICE_A)",
  "defined(NOPE)",
  "version_atleast(2.6)",
  "!version_atleast(2.6)",
);

/** Puts some of the lines of a part in a block of their own, which HAProxy reads or not. */
const maybeConditional = (lines: readonly string[]): fc.Arbitrary<readonly string[]> =>
  fc.oneof(
    { weight: 5, arbitrary: fc.constant(lines) },
    fc
      .tuple(condition, fc.nat({ max: lines.length }), fc.constantFrom([], [".else"], [".elif 1", "# x", ".else"]))
      .map(([test, at, more]) => [`.if ${test}`, ...lines.slice(0, at), ...more, ...lines.slice(at), ".endif"]),
  );

/** What HAProxy refuses. */
const wrong = fc.constantFrom('"', "'a", "nonsense", "server", '"$"', "\\x4", ".endif", ".if", "bind :x", '"${A"');

/** Indentation, blanks between and behind words, line ends. */
const dress = (raw: string): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.constantFrom("", "  ", "\t", " \v "),
      fc.constantFrom("", "  ", " # c", "\t#'"),
      fc.constantFrom("", "\r"),
    )
    // A comment behind a carriage return would be part of the line.
    .map(([before, after, end]) => `${before}${raw}${after}${end}`);

/** Any haproxy.cfg of HAProxy's grammar; most are ones that HAProxy takes. Without a newline at its end now and then. */
export const randomConfig: fc.Arbitrary<string> = fc
  .array(
    section.chain(([header, lines]) => maybeConditional(lines).chain((body) => maybeConditional([header, ...body]))),
    { maxLength: 6 },
  )
  .map((sections) => [
    "defaults",
    "mode http",
    "timeout client 1s",
    "timeout connect 1s",
    "timeout server 1s",
    "listen always",
    "bind 127.0.0.1:1",
    ...sections.flat(),
  ])
  .chain((lines) =>
    fc.tuple(
      fc.oneof(
        { weight: 9, arbitrary: fc.constant(lines) },
        fc
          .tuple(wrong, fc.nat({ max: lines.length }))
          .map(([bad, at]) => [...lines.slice(0, at), bad, ...lines.slice(at)]),
      ),
      fc.oneof({ weight: 9, arbitrary: fc.constant("\n") }, fc.constant("")),
    ),
  )
  .chain(([lines, end]) => fc.tuple(...lines.map(dress)).map((dressed) => `${dressed.join("\n")}${end}`));
