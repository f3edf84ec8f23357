import { describe, expect, it } from "vitest";
import { factsOf, wrongWith } from "./rows";

describe("the facts of a form", () => {
  it("are sent without spaces around them and without empty rows", () => {
    const rows = [
      { name: " volume ", value: "300 ml " },
      { name: "", value: " " },
    ];
    expect(wrongWith(rows)).toBeNull();
    expect(factsOf(rows)).toEqual({ volume: "300 ml" });
  });

  it("are told to be halves, which would be lost or say nothing", () => {
    expect(wrongWith([{ name: "volume", value: "" }])).toContain("needs a name and what is true");
    expect(wrongWith([{ name: "", value: "300 ml" }])).toContain("needs a name and what is true");
  });

  it("are told to have one name twice, of which the first would be lost", () => {
    const rows = [
      { name: "volume", value: "300 ml" },
      { name: "volume ", value: "500 ml" },
    ];
    expect(wrongWith(rows)).toContain("“volume” is there twice");
    expect(Object.keys(factsOf(rows))).toHaveLength(1);
  });
});
