import { describe, expect, test } from "@jest/globals";
import { compareTags, type FabioSetup, fabioDefaults } from "../../../../src/routing/fabio/compare-tags.ts";
import { instance, service, settings } from "../fixtures.ts";

function verdictsOf(tags: readonly string[], fabio: Partial<FabioSetup> = {}, given: object = {}) {
  const web = service("web", [instance("web", 1, { tags })]);
  return compareTags([web], settings(given), { ...fabioDefaults, ...fabio }).map(({ verdict, reasons }) => [
    verdict,
    ...reasons,
  ]);
}

test("each tag is said once, with all that carry it; tags of others are none", () => {
  const instances = [1, 2].map((number) => instance("web", number, { tags: [" urlprefix-/a ", "v2"] }));
  expect(compareTags([service("web", instances), service("a", [])], settings(), fabioDefaults)).toEqual([
    { service: "web", tag: "urlprefix-/a", instances: ["node-1/web-1", "node-2/web-2"], verdict: "same", reasons: [] },
  ]);
});

describe("a tag", () => {
  test.each([
    ["urlprefix-/a", "same"],
    ["urlprefix-*.a.com/ weight=0.2", "same"],
    ["urlprefix-/a redirect=301,https://a.com$path", "same"],
    ["urlprefix-:3306 proto=tcp", "same"],
    ["urlprefix-/a foo=1", "same", '"foo" is none of Fabio\'s options and is ignored'],
    ["urlprefix-/a allow=ip:10.0.0.0/8", "different", "X-Forwarded-For"],
    ["urlprefix-/a weight=x", "refused", 'it has the weight "x"'],
    ["urlprefix-", "refused", "it names no route"],
    ["urlprefix-:80 proto=tcp", "refused", "port 80 is HAProxy's own"],
    ["urlprefix-a.com/ proto=tcp", "refused", "set services.fabioSniPorts"],
  ])("%s", (tag, verdict, ...reasons) => {
    const [found] = verdictsOf([tag]);
    expect([found?.[0], (found?.length ?? 0) - 1]).toEqual([verdict, reasons.length]);
    for (const reason of reasons) expect(found?.[1]).toContain(reason);
  });

  test("of a name is the same where its port is set", () => {
    expect(verdictsOf(["urlprefix-a.com/ proto=tcp"], {}, { services: { fabioSniPorts: "8443" } })).toEqual([["same"]]);
  });

  test("of a name is refused where its port cannot be had", () => {
    const given = { services: { fabioSniPorts: "443" }, https: { bind: ":443" }, tcp: { ports: "1-65535" } };
    expect(verdictsOf(["urlprefix-a.com/ proto=tcp"], {}, given)[0]).toEqual([
      "refused",
      expect.stringContaining("port 443 is HAProxy's own"),
    ]);
  });

  test("means something else where Fabio is set up otherwise", () => {
    expect(verdictsOf(["urlprefix-/a*b"], { matcher: "glob" })[0]?.[1]).toContain("is a glob to Fabio");
    expect(verdictsOf(["urlprefix-/a"], { matcher: "glob" })[0]?.[1]).toContain("this path alone");
    expect(verdictsOf(["urlprefix-/a"], { matcher: "iprefix" })[0]?.[1]).toContain("whatever case");
    expect(verdictsOf(["urlprefix-/"], { matcher: "iprefix" })).toEqual([["same"]]);
    expect(verdictsOf(["urlprefix-*.a.com/"], { globs: false })[0]?.[1]).toContain("plain name");
    expect(
      verdictsOf(["urlprefix-:99 proto=tcp"], { tcpPorts: new Set([98]) }, { tcp: { ports: "1-65535" } })[0]?.[1],
    ).toContain("no listener for TCP on port 99");
    expect(verdictsOf(["urlprefix-:99 proto=tcp"], { tcpPorts: new Set([99]) }, { tcp: { ports: "1-65535" } })).toEqual(
      [["same"]],
    );
  });
});
