import fc from "fast-check";
import { healthEntry } from "./fake-catalog.ts";
