import { expect, test } from "@jest/globals";
import { advertisedPlace } from "../../../src/registration/advertised-place.ts";

test.each([
  [":80", undefined, { port: 80, check: "127.0.0.1:80" }],
  ["*:80", undefined, { port: 80, check: "127.0.0.1:80" }],
  ["0.0.0.0:8080,:80", undefined, { port: 8080, check: "127.0.0.1:8080" }],
  ["[::]:80", undefined, { port: 80, check: "127.0.0.1:80" }],
  ["10.0.0.5:80", undefined, { address: "10.0.0.5", port: 80, check: "10.0.0.5:80" }],
  ["[fd00::1]:80", undefined, { address: "fd00::1", port: 80, check: "[fd00::1]:80" }],
  ["unix@/run/s.sock,:81", undefined, { port: 81, check: "127.0.0.1:81" }],
  [":80", "lb.example.com:443", { address: "lb.example.com", port: 443, check: "lb.example.com:443" }],
  [":80", ":8080", { port: 8080, check: "127.0.0.1:8080" }],
  ["unix@/run/s.sock", undefined, undefined],
  [":8000-8010", undefined, undefined],
  [":80", "lb.example.com", undefined],
  [":80", "lb:99999", undefined],
])("%s, advertised as %s", (bind, advertise, place) => {
  expect(advertisedPlace(bind, advertise)).toEqual(place);
});
