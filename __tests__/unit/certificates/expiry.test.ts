import { expect, test } from "@jest/globals";
import { daysLeft, ExpiryWatch } from "../../../src/certificates/expiry.ts";

const day = 86_400_000;

test("each stage is said once, also when some were slept through; a renewed one begins anew", () => {
  const watch = new ExpiryWatch();
  const certificate = { name: "shop", notAfter: 100 * day };
  const said = (now: number, one = certificate) => watch.due([one], now).map((due) => due.daysLeft);
  expect(said(60 * day)).toEqual([]);
  expect(said(70 * day)).toEqual([30]);
  expect(said(71 * day)).toEqual([]);
  expect(said(93.5 * day)).toEqual([6]);
  expect(said(94 * day)).toEqual([]);
  expect(said(101 * day)).toEqual([-1]);
  expect(said(150 * day)).toEqual([]);
  const renewed = { name: "shop", notAfter: 155 * day };
  expect(said(150 * day, renewed)).toEqual([5]);
  expect(said(150 * day, renewed)).toEqual([]);
  expect(said(154.2 * day, renewed)).toEqual([0]);
});

test("what is gone is forgotten", () => {
  const watch = new ExpiryWatch();
  const certificate = { name: "shop", notAfter: day };
  expect(watch.due([certificate], 0)).toHaveLength(1);
  expect(watch.due([], 0)).toEqual([]);
  expect(watch.due([certificate], 0)).toHaveLength(1);
});

test("days are whole ones, downwards", () => {
  expect([daysLeft(2.5 * day, 0), daysLeft(0.5 * day, 0), daysLeft(0, 0.5 * day)]).toEqual([2, 0, -1]);
});
