import { describe, expect, test } from "@jest/globals";
import type { LeavingServer, ServerPath } from "../../../../src/haproxy/plan/types.ts";
import type { ObservedServer } from "../../../../src/haproxy/runtime/types.ts";
import { leavingServer, observed, planned, planText, Texts } from "./fixtures.ts";

interface Case {
  readonly before?: string;
  /** The same as before where it is not given. */
  readonly after?: string;
  readonly observed?: readonly ObservedServer[];
  readonly leaving?: readonly LeavingServer[];
}

const a = "backend web\n server a 10.0.0.1:80\n";

const two = `${a} server b 10.0.0.2:80\n`;
const inPlace = (name: string) => observed("web", name, { address: "10.0.0.2" });

function plan({ before = a, after = before, observed: rows, leaving = [] }: Case): readonly string[] {
  const texts = new Texts();
  return planText(
    planned(texts.desired(before), texts.desired(after), {
      leaving: new Map(leaving.map((one) => [`${one.backend}/${one.server}` satisfies ServerPath, one])),
      ...(rows !== undefined && { observed: new Map([["web", rows]]) }),
    }),
  );
}

describe("against what was read back", () => {
  test.each<readonly [string, Case, readonly string[]]>([
    ["nothing where all is as it should be", { observed: [observed("web", "a")] }, []],
    ["a server nobody wrote is retired", { observed: [observed("web", "a"), observed("web", "x")] }, ["retire web/x"]],
    ["a missing one is added", { observed: [] }, ["add web/a 10.0.0.1:80 weight 1"]],
    ["a weight is set again", { observed: [observed("web", "a", { weight: 7 })] }, ["weight web/a 1"]],
    ["maintenance is ended", { observed: [observed("web", "a", { maintenance: true })] }, ["state web/a ready"]],
    ["drain is ended", { observed: [observed("web", "a", { drain: true })] }, ["state web/a ready"]],
    [
      "maintenance that the file asks for is set",
      { before: "backend web\n server a 10.0.0.1:80 disabled\n", observed: [observed("web", "a")] },
      ["state web/a maint"],
    ],
    [
      "and stays",
      {
        before: "backend web\n server a 10.0.0.1:80 disabled\n",
        observed: [observed("web", "a", { maintenance: true })],
      },
      [],
    ],
    [
      "another address is for a reload",
      { observed: [observed("web", "a", { address: "10.6.6.6" })] },
      ["! server-options-changed: backend web server a moves from 10.6.6.6:80 to 10.0.0.1:80 under one name"],
    ],
    [
      "another address, where others serve: it is made anew",
      { before: two, observed: [observed("web", "a", { address: "10.6.6.6" }), inPlace("b")] },
      ["retire web/a"],
    ],
    [
      "another address, where the others do not serve, is for a reload",
      {
        before: two,
        observed: [observed("web", "a", { address: "10.6.6.6" }), { ...inPlace("b"), operational: 0 }],
      },
      ["! server-options-changed: backend web server a moves from 10.6.6.6:80 to 10.0.0.1:80 under one name"],
    ],
    [
      "one that was sent elsewhere and is on its way out is waited for",
      {
        before: two,
        observed: [observed("web", "a", { address: "10.6.6.6", maintenance: true }), inPlace("b")],
        leaving: [leavingServer("web", "a", { address: "10.6.6.6" })],
      },
      [],
    ],
    [
      "what was read back counts, not what was believed",
      { after: "backend web\n server a 10.0.0.1:80 weight 7\n", observed: [observed("web", "a", { weight: 7 })] },
      [],
    ],
    [
      "a wanted server that only the read-back knows becomes a known one",
      { before: "backend web\n", after: a, observed: [observed("web", "a")] },
      ["weight web/a 1"],
    ],
    [
      "one that was added and not finished gets its checks with the rest",
      {
        before: "backend web\n default-server check\n",
        after: "backend web\n default-server check\n server a 10.0.0.1:80 weight 4\n",
        observed: [observed("web", "a", { maintenance: true, check: "none" })],
      },
      ["revive web/a weight 4 (check)"],
    ],
    [
      "so does one without a check",
      { before: "backend web\n", after: a, observed: [observed("web", "a", { maintenance: true })] },
      ["revive web/a weight 1"],
    ],
    [
      "not where maintenance is what the file asks for",
      {
        before: "backend web\n",
        after: "backend web\n server a 10.0.0.1:80 check disabled\n",
        observed: [observed("web", "a", { maintenance: true })],
      },
      ["weight web/a 1"],
    ],
    [
      "in a fixed set, which none can be added to, it is made ready only",
      {
        before: "backend web\n balance static-rr\n",
        after: "backend web\n balance static-rr\n server a 10.0.0.1:80 check\n",
        observed: [observed("web", "a", { maintenance: true })],
      },
      ["state web/a ready"],
    ],
    [
      "checks and operational state do not count",
      { observed: [observed("web", "a", { operational: 0, check: "failed" })] },
      [],
    ],
    [
      "a host name reads back as an address",
      { before: "backend web\n server a localhost:80\n", observed: [observed("web", "a", { address: "127.0.0.1" })] },
      [],
    ],
    [
      "a socket reads back as nothing, a port offset as a number",
      {
        before: "backend web\n server a /run/a.sock\n server b 10.0.0.1:+8\n",
        observed: [observed("web", "a", { address: "-", port: 0 }), observed("web", "b", { port: 8 })],
      },
      [],
    ],
    [
      "environment variables read back as their values, in names too",
      {
        before: 'backend web\n server a "$IP":80 weight "$W"\n server "$NAME" 10.0.0.9:80\n',
        observed: [
          observed("web", "a", { address: "10.9.9.9", weight: 77 }),
          observed("web", "real", { address: "10.0.0.9" }),
        ],
      },
      [],
    ],
    [
      "what server-template makes is left alone",
      {
        before: "backend web\n server-template t 2 10.0.0.1:80\n",
        observed: [observed("web", "t1"), observed("web", "t2")],
      },
      [],
    ],
    [
      "so is what stands in an .if",
      { before: "backend web\n.if 1\n server a 10.0.0.1:80\n.endif\n", observed: [observed("web", "a")] },
      [],
    ],
    [
      "beside it a server that is known goes as ever",
      {
        before: "backend web\n server-template t 1 10.0.0.1:80\n server a 10.0.0.1:80\n",
        after: "backend web\n server-template t 1 10.0.0.1:80\n",
        observed: [observed("web", "t1"), observed("web", "a")],
      },
      ["retire web/a"],
    ],
    [
      "a static set does not get what it would refuse",
      {
        before: "backend web\n balance static-rr\n",
        after: "backend web\n balance static-rr\n server a 10.0.0.1:80\n",
        observed: [observed("web", "a")],
      },
      [],
    ],
  ])("%s", (_, given, expected) => {
    expect(plan(given)).toEqual(expected);
  });

  test("a backend that was not read back is believed", () => {
    const texts = new Texts();
    const current = texts.desired(`${a}backend api\n server b 10.0.0.2:80\n`);
    expect(planText(planned(current, current, { observed: new Map([["web", []]]) }))).toEqual([
      "add web/a 10.0.0.1:80 weight 1",
    ]);
  });
});

describe("leaving servers", () => {
  const empty = "backend web\n";

  test.each<readonly [string, Case, readonly string[]]>([
    [
      "are left alone when they are read back",
      {
        before: empty,
        observed: [observed("web", "a", { maintenance: true })],
        leaving: [leavingServer("web", "a")],
      },
      [],
    ],
    ["are not retired twice", { before: a, after: empty, leaving: [leavingServer("web", "a")] }, []],
    [
      "of the same name in another backend do not count",
      { before: a, after: empty, leaving: [leavingServer("api", "a")] },
      ["retire web/a"],
    ],
    [
      "that come back are made ready again, with their new weight",
      {
        before: empty,
        after: "backend web\n server a 10.0.0.1:80 weight 4\n",
        leaving: [leavingServer("web", "a")],
      },
      ["revive web/a weight 4"],
    ],
    [
      "with a check, it is for the operation to enable it",
      {
        before: "backend web\n default-server check\n",
        after: "backend web\n default-server check\n server a 10.0.0.1:80\n",
        leaving: [leavingServer("web", "a", { options: ["check"] })],
        observed: [observed("web", "a", { maintenance: true })],
      },
      ["revive web/a weight 1 (check)"],
    ],
    [
      "of which little is known are taken back by their name",
      { before: empty, after: a, leaving: [leavingServer("web", "a", { address: "", port: 0, options: undefined })] },
      ["revive web/a weight 1"],
    ],
    [
      "of which only the read-back tells the address do not come back at another one",
      {
        before: empty,
        after: a,
        leaving: [leavingServer("web", "a", { address: "", port: 0, options: undefined })],
        observed: [observed("web", "a", { maintenance: true, port: 81 })],
      },
      [
        "! server-options-changed: backend web server a came back with another address or other options while it was still leaving",
      ],
    ],
    [
      "cannot come back with other words",
      { before: empty, after: a, leaving: [leavingServer("web", "a", { options: ["check"] })] },
      [
        "! server-options-changed: backend web server a came back with another address or other options while it was still leaving",
      ],
    ],
    [
      "cannot come back at another address",
      { before: empty, after: a, leaving: [leavingServer("web", "a", { port: 81 })] },
      [
        "! server-options-changed: backend web server a came back with another address or other options while it was still leaving",
      ],
    ],
    [
      "are not made ready where the file says disabled",
      {
        before: empty,
        after: "backend web\n server a 10.0.0.1:80 disabled\n",
        leaving: [leavingServer("web", "a")],
      },
      ["! server-not-dynamic: backend web server a cannot be taken back at run time: it starts disabled"],
    ],
    [
      "do not come back to a fixed set, which may refuse the weight",
      {
        before: "backend web\n balance static-rr\n",
        after: "backend web\n balance static-rr\n server a 10.0.0.1:80\n",
        leaving: [leavingServer("web", "a")],
      },
      [expect.stringMatching(/^! server-not-dynamic: .*static-rr has a fixed set/) as unknown as string],
    ],
  ])("%s", (_, given, expected) => {
    expect(plan(given)).toEqual(expected);
  });
});

test("changes are told in words", () => {
  const texts = new Texts();
  const { changes } = planned(
    texts.desired("backend web\n server a 10.0.0.1:80\n server b 10.0.0.2:80\n server c 10.0.0.3:80 disabled\n"),
    texts.desired(
      "backend web\n server a 10.0.0.1:80 weight 0\n server c 10.0.0.3:80\n server d 10.0.0.4:80 weight 5\n server e 10.0.0.5:80\n",
    ),
    { leaving: new Map([["web/e", leavingServer("web", "e", { address: "10.0.0.5" })]]) },
  );
  expect(changes.map(({ subject, sentence }) => `${subject}: ${sentence}`)).toEqual([
    "web: a weight 1 → 0 (drain)",
    "web: c state → ready",
    "web: + d (10.0.0.4:80, weight 5)",
    "web: e is back before it was gone",
    "web: - b (10.0.0.2:80)",
  ]);
});
