import { describe, expect, it, vi } from "vitest";
import { OpenForms } from "./openForms";

describe("an open form", () => {
  it("keeps what was typed until it is closed, each form its own", () => {
    const forms = new OpenForms();
    const told = vi.fn();
    forms.subscribe(told);
    forms.open("product b1", { name: "" });
    forms.change("product b1", { name: "Harbour m" });
    expect(forms.find("product b1")).toEqual({ name: "Harbour m" });
    expect(forms.find("product b2")).toBeUndefined();
    forms.close("product b1");
    expect(forms.find("product b1")).toBeUndefined();
    expect(told).toHaveBeenCalledTimes(3);
  });

  it("is worth a question only where something was typed", () => {
    const forms = new OpenForms();
    forms.open("brand", { name: "" });
    expect(forms.changed()).toBe(false);
    forms.change("brand", { name: "N" });
    expect(forms.changed()).toBe(true);
    forms.close("brand");
    forms.change("brand", { name: "No" });
    expect(forms.changed()).toBe(false);
  });
});
