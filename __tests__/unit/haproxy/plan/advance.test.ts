import { describe, expect, test } from "@jest/globals";
import { parseConfig } from "../../../../src/haproxy/config/parse.ts";
import { printConfig } from "../../../../src/haproxy/config/print.ts";
import { serverLines } from "../../../../src/haproxy/config/servers.ts";
import type { Config } from "../../../../src/haproxy/config/types.ts";
import { advance } from "../../../../src/haproxy/plan/advance.ts";
import type { RuntimeOperation } from "../../../../src/haproxy/plan/types.ts";
import { planned, planText, Texts } from "./fixtures.ts";

/** Plans, lets HAProxy do a part of it, and says what is then written down. */
function advanced(before: string, after: string, done: (operation: RuntimeOperation) => boolean = () => true) {
  const texts = new Texts();
  const current = texts.desired(before);
  const wanted = texts.desired(after);
  const plan = planned(current, wanted);
  const config = advance(current.config, plan.operations.filter(done), wanted.config);
  const text = printConfig(config);
  expect(serversOf(parseConfig(text))).toEqual(serversOf(config));
  return { text, config, current, wanted, again: planned({ config, maps: new Map() }, wanted) };
}

function serversOf(config: Config) {
  return config.sections.map((section) =>
    serverLines(section).map(({ line: { raw: _raw, ...line }, ...all }) => ({ ...all, line })),
  );
}

/** Both with another line, so that a change of structure is left behind. */
const lines = (...all: readonly string[]) => `${all.join("\n")}\n`;
const was = (...servers: readonly string[]) => lines("backend web", "  mode http", ...servers, "", "# end");
const willBe = (...servers: readonly string[]) => lines("backend web", "  mode tcp", ...servers);

describe("advance", () => {
  test("keeps the structure and takes the servers", () => {
    const { text, again } = advanced(
      was("  server a 10.0.0.1:80 # one", "  server b 10.0.0.2:80", "  server c 10.0.0.3:80 check"),
      willBe("  server b 10.0.0.2:80 weight 7", "  server c 10.0.0.3:80 check", "  server d 10.0.0.4:80 check"),
    );
    expect(text).toBe(
      was("  server b 10.0.0.2:80 weight 7", "  server c 10.0.0.3:80 check", "  server d 10.0.0.4:80 check"),
    );
    expect(planText(again)).toEqual(['! section-changed: backend web "mode http" → "mode tcp"']);
  });

  test("what HAProxy refused is not written down", () => {
    const { text, again } = advanced(
      was("  server a 10.0.0.1:80", "  server b 10.0.0.2:80"),
      willBe("  server a 10.0.0.1:80 weight 7", "  server c 10.0.0.3:80"),
      ({ kind }) => kind === "set-weight",
    );
    expect(text).toBe(was("  server a 10.0.0.1:80 weight 7", "  server b 10.0.0.2:80"));
    expect(planText(again).slice(0, 2)).toEqual(["add web/c 10.0.0.3:80 weight 1", "retire web/b"]);
  });

  test.each([
    ["a weight before others", "weight 5 check", "weight 6 check inter 2s", "check weight 6"],
    ["the last of two weights counts", "weight 5 check weight 7", "weight 6 maxconn 2", "check weight 6"],
    ["a word that is called weight", "cookie weight", "weight 6", "cookie weight weight 6"],
    ["a comment that speaks of a weight", "check # weight 5", "weight 6", "check weight 6"],
    ["words that need quotes", "cookie 'a b'", "cookie 'a c' weight 6", "cookie 'a b' weight 6"],
    ["a state too", "disabled check", "weight 6", "check weight 6"],
    ["into maintenance", "check", "disabled", "check weight 1 disabled"],
  ])("words that must wait for a reload stay, weight and state are set: %s", (_, before, after, expected) => {
    const { text, again } = advanced(was(`\tserver a 10.0.0.1:80 ${before}`), was(`\tserver a 10.0.0.1:80 ${after}`));
    expect(text).toBe(was(`\tserver a 10.0.0.1:80 ${expected}`));
    expect(again.operations).toEqual([]);
    expect(again.reload?.map(({ code }) => code)).toEqual(["server-options-changed"]);
  });

  test("default-server may say weight and state; what was set wins", () => {
    const structure = ["backend web", "  default-server weight 5 disabled"];
    const { text, again } = advanced(
      lines(...structure, "  server a 10.0.0.1:80 check", "  server b 10.0.0.2:80 enabled"),
      lines(...structure, "  server a 10.0.0.1:80 enabled weight 6", "  server b 10.0.0.2:80 check enabled weight 1"),
    );
    expect(text).toBe(
      lines(...structure, "  server a 10.0.0.1:80 check weight 6 enabled", "  server b 10.0.0.2:80 weight 1 enabled"),
    );
    expect(again.operations).toEqual([]);
  });

  test("a server that was added with other default-server words has them spelled out", () => {
    const { text, config } = advanced(
      lines("backend web", "  default-server inter 1s weight 5"),
      lines("backend web", "  default-server check fall 2", "  server a 10.0.0.1:80 rise 3"),
    );
    expect(text).toBe(
      lines("backend web", "  default-server inter 1s weight 5", "  server a 10.0.0.1:80 check fall 2 rise 3 weight 1"),
    );
    expect(config.sections.flatMap(serverLines)).toMatchObject([{ weight: 1, maintenance: false }]);
  });

  test("a new server never stands in an .if, nor behind lines without words", () => {
    const { text } = advanced(
      lines("backend web", "  mode http", ".if 1", "  log global", ".endif", "", "# end"),
      lines("backend web", "  mode tcp", "  server a 10.0.0.1:80"),
    );
    expect(text).toBe(
      lines("backend web", "  mode http", ".if 1", "  log global", ".endif", "  server a 10.0.0.1:80", "", "# end"),
    );
    const open = advanced(
      lines("backend web", "  mode http", ".if 1", "backend x", ".endif"),
      lines("backend web", "  mode tcp", "  server a 10.0.0.1:80", ".if 1", "backend x", ".endif"),
    );
    expect(open.text).toBe(
      lines("backend web", "  mode http", "  server a 10.0.0.1:80", ".if 1", "backend x", ".endif"),
    );
  });

  test("a server that came back stands there again", () => {
    const texts = new Texts();
    const current = texts.desired(was());
    const wanted = texts.desired(willBe("  server a 10.0.0.1:80 weight 3"));
    const revive = { kind: "revive-server", backend: "web", server: "a", weight: 3, check: false } as const;
    expect(printConfig(advance(current.config, [revive], wanted.config))).toBe(
      lines("backend web", "  mode http", "  server a 10.0.0.1:80 weight 3", "", "# end"),
    );
  });

  test("a server that only a read-back knew is written down once something was set", () => {
    const texts = new Texts();
    const current = texts.desired(was());
    const wanted = texts.desired(willBe("  server a 10.0.0.1:80 weight 3"));
    const weight = { kind: "set-weight", backend: "web", server: "a", weight: 3 } as const;
    expect(printConfig(advance(current.config, [weight], wanted.config))).toContain(
      "  server a 10.0.0.1:80 weight 3\n",
    );
  });

  test("a server that nobody wrote down and that goes leaves no trace", () => {
    const texts = new Texts();
    const { config } = texts.desired(was("  server a 10.0.0.1:80"));
    const retire = { kind: "retire-server", backend: "web", server: "x" } as const;
    expect(printConfig(advance(config, [retire], config))).toBe(printConfig(config));
  });

  test("a backend that is to go keeps taking changes until it does", () => {
    const { text } = advanced(was("  server a 10.0.0.1:80"), "backend other\n");
    expect(text).toBe(was("  server a 10.0.0.1:80"));
  });

  test("nothing done: the very same configuration; else the very same sections but for those that were changed", () => {
    const none = advanced(was("  server a 10.0.0.1:80"), willBe("  server a 10.0.0.1:80"));
    expect(none.config).toBe(none.current.config);
    const some = advanced(
      `${was()}backend api\n  server x 10.0.0.9:80\n`,
      `${willBe("  server a 10.0.0.1:80")}backend api\n  server x 10.0.0.9:80\n`,
    );
    expect(some.config.sections[0]).not.toBe(some.current.config.sections[0]);
    expect(some.config.sections[1]).toBe(some.current.config.sections[1]);
  });

  test("maps are not its business", () => {
    const { config } = new Texts().desired(was());
    expect(advance(config, [{ kind: "replace-map", file: "/m", entries: [] }], config)).toBe(config);
  });
});
