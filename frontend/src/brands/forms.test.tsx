import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";
import type { Brand, Product } from "../api/types";
import type { OpenForm } from "../ui/FormsProvider";
import { BrandForm, brandDraft } from "./BrandForm";
import { ProductForm, productDraft } from "./ProductForm";

const brand = { id: "b1", name: "Northlight", colours: ["#7a3b12"] } as Brand;
const product = {
  id: "p1",
  brand_id: "b1",
  name: "Harbour mug",
  facts: { volume: "350 ml" },
} as unknown as Product;
const shown = (form: ReactNode) =>
  renderToStaticMarkup(<QueryClientProvider client={new QueryClient()}>{form}</QueryClientProvider>);
const nothing = () => {};
const opened = <T,>(value: T, how: Partial<OpenForm<T>> = {}): OpenForm<T> => ({
  ...{ value, busy: false, problem: null, change: nothing, save: nothing, close: nothing },
  ...how,
});

describe("the forms of brands and products", () => {
  it("begin with a name of at most 200 letters, and end with the two ways out", () => {
    for (const form of [
      <BrandForm key="b" brand={brand} form={opened(brandDraft(brand))} />,
      <ProductForm key="p" brand="b1" product={product} form={opened(productDraft(product))} />,
    ]) {
      const html = shown(form);
      expect(html).toMatch(/<form class="[^"]+" aria-label="Change (Northlight|Harbour mug)">/);
      expect(html).toMatch(
        /^[^<]*<form[^>]*><div class="field"><label[^>]*>(Name|Product)<\/label><input[^>]*>/,
      );
      expect(html).toMatch(/maxLength="200" required="" value="(Northlight|Harbour mug)"/);
      expect(html).toMatch(/Cancel.*type="submit".*Save/);
      expect(html).not.toContain("disabled");
    }
  });

  it("are still busy, or say why they were not saved, when their member comes back to them", () => {
    const how = { busy: true, problem: "There is a brand of this name." };
    for (const form of [
      <BrandForm key="b" brand={null} form={opened(brandDraft(brand), how)} />,
      <ProductForm key="p" brand="b1" product={null} form={opened(productDraft(product), how)} />,
    ]) {
      expect(shown(form)).toMatch(/type="submit"[^>]*disabled="" aria-busy="true"/);
      expect(shown(form)).toContain("There is a brand of this name.");
    }
  });

  it("take nothing while they are being saved that would go with them, and can still be given up", () => {
    const fields = [/<input[^>]*>/g, /<button(?![^>]*submit)[^>]*>/g];
    const open = (form: ReactNode) =>
      fields
        .flatMap((one) => shown(form).match(one) ?? [])
        .filter((tag) => !/readOnly=""|disabled=""/.test(tag));
    const colours = opened(brandDraft(brand), { busy: true });
    const facts = opened(productDraft(product), { busy: true });
    expect(open(<BrandForm brand={brand} form={colours} />)).toHaveLength(1);
    expect(open(<ProductForm brand="b1" product={product} form={facts} />)).toHaveLength(1);
    expect(open(<BrandForm brand={brand} form={opened(brandDraft(brand))} />)).toHaveLength(5);
  });

  it("save nothing without a name", () => {
    expect(shown(<BrandForm brand={null} form={opened(brandDraft(null))} />)).toMatch(
      /aria-label="New brand".*disabled=""/,
    );
    const html = shown(<ProductForm brand="b1" product={null} form={opened(productDraft(null))} />);
    expect(html).toMatch(/aria-label="New product".*disabled=""/);
    expect(html).toContain("Fact 1");
  });
});
