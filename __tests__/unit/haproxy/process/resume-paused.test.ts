import { expect, test } from "@jest/globals";
import { pausedFrontends } from "../../../../src/haproxy/process/resume-paused.ts";

test("paused frontends are found by the columns' names", () => {
  const text = "# pxname,svname,qcur,status,weight\nf,FRONTEND,,PAUSED,\ng,FRONTEND,,OPEN,\nPAUSED,FRONTEND,,OPEN,\n\n";
  expect(pausedFrontends(text)).toEqual(["f"]);
  expect(pausedFrontends("# status,x,pxname\nPAUSED,,h\n")).toEqual(["h"]);
  expect(pausedFrontends("")).toEqual([]);
});
