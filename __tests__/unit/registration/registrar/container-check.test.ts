import { describe, expect, test } from "@jest/globals";
import type { ServiceCheck } from "../../../../src/registration/agent-client.ts";
import { saidCheck } from "../../../../src/registration/registrar/container-check.ts";
import { wordsOf } from "../../../../src/registration/registrar/container-words.ts";
import { goDurationMs } from "../../../../src/registration/registrar/go-duration.ts";

function said(...environment: readonly string[]) {
  return saidCheck(wordsOf({ environment, labels: new Map() }).of(443), "10.0.0.1", 8443, undefined);
}

const pace = { intervalMs: 10_000, timeoutMs: 10_000 };

describe("a container's check", () => {
  test.each<[readonly string[], ServiceCheck]>([
    [
      ["SERVICE_CHECK_HTTP=/health"],
      { kind: "http", name: "http /health", url: "http://10.0.0.1:8443/health", ...pace },
    ],
    [
      ["SERVICE_443_CHECK_HTTP=status?deep=1", "SERVICE_CHECK_HTTP_METHOD=head", "SERVICE_CHECK_INTERVAL=15s"],
      {
        kind: "http",
        name: "http status?deep=1",
        url: "http://10.0.0.1:8443/status?deep=1",
        method: "HEAD",
        intervalMs: 15_000,
        timeoutMs: 10_000,
      },
    ],
    [
      ["SERVICE_CHECK_HTTPS=/", "SERVICE_CHECK_TLS_SKIP_VERIFY=true", "SERVICE_CHECK_TIMEOUT=500ms"],
      {
        kind: "http",
        name: "https /",
        url: "https://10.0.0.1:8443/",
        tlsSkipVerify: true,
        intervalMs: 10_000,
        timeoutMs: 500,
      },
    ],
    [
      ["SERVICE_CHECK_TCP=true", "SERVICE_CHECK_INITIAL_STATUS=passing", "SERVICE_CHECK_DEREGISTER_AFTER=1m30s"],
      {
        kind: "tcp",
        name: "tcp 10.0.0.1:8443",
        address: "10.0.0.1:8443",
        status: "passing",
        deregisterAfterMs: 90_000,
        ...pace,
      },
    ],
    [["SERVICE_CHECK_GRPC=true"], { kind: "grpc", name: "grpc 10.0.0.1:8443", address: "10.0.0.1:8443", ...pace }],
    [
      ["SERVICE_CHECK_GRPC=shop.Cart"],
      { kind: "grpc", name: "grpc 10.0.0.1:8443", address: "10.0.0.1:8443/shop.Cart", ...pace },
    ],
    [["SERVICE_CHECK_TTL=30s"], { kind: "ttl", name: "what the container says", ttlMs: 30_000 }],
  ])("%j", (words, check) => {
    expect(said(...words)).toEqual({ check, problems: [] });
  });

  test("none where none is asked for", () => {
    expect(said("SERVICE_CHECK_TCP=false", "SERVICE_CHECK_HTTP=", "SERVICE_80_CHECK_TCP=true")).toEqual({
      problems: [],
    });
  });

  test.each([
    ["SERVICE_CHECK_SCRIPT=curl x", "SERVICE_CHECK_SCRIPT is not supported"],
    ["SERVICE_CHECK_HTTP=/a b", "SERVICE_CHECK_HTTP is not a path"],
    ["SERVICE_CHECK_TTL=soon", "SERVICE_CHECK_TTL is not a length of time"],
  ])("%s is said and left out", (word, problem) => {
    expect(said(word)).toEqual({ problems: [expect.stringContaining(problem)] });
  });

  test("what is wrong of its pace is said, and the default counts", () => {
    const { check, problems } = said(
      ...["SERVICE_CHECK_TCP=1", "SERVICE_CHECK_INTERVAL=10", "SERVICE_CHECK_TIMEOUT=x"],
      ...["SERVICE_CHECK_INITIAL_STATUS=fine"],
    );
    expect(check).toMatchObject({ kind: "tcp", ...pace });
    expect(check).not.toHaveProperty("status");
    expect(problems).toHaveLength(3);
    expect(said("SERVICE_CHECK_TCP=1", "SERVICE_CHECK_INTERVAL=10ms").check).toMatchObject({ intervalMs: 1_000 });
  });

  test("an address of IPv6 is in brackets", () => {
    const words = wordsOf({ environment: ["SERVICE_CHECK_TCP=1"], labels: new Map() }).of(80);
    expect(saidCheck(words, "fd00::1", 80, undefined).check).toMatchObject({ address: "[fd00::1]:80" });
  });
});

describe("a length of time of Go's", () => {
  test.each([
    ["15s", 15_000],
    ["1m30s", 90_000],
    ["1.5h", 5_400_000],
    [" 250ms ", 250],
    ["0s", undefined],
    ["15", undefined],
    ["-5s", undefined],
    ["1d", undefined],
    ["5s later", undefined],
    ["", undefined],
    ["99999h", undefined],
    [`${"9".repeat(50)}s`, undefined],
  ])("%j is %s ms", (text, ms) => {
    expect(goDurationMs(text)).toBe(ms);
  });
});
