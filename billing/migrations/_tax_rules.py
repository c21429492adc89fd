"""Tax in SQL, for runs over many organizations: which rate applies, and what it comes to. As `billing.tax` computes it.

    SELECT tax.*, billing_tax_amount(net, tax.rate, false, 1) FROM accounts_organization customer,
        billing_tax_of('registered', 'DE', customer.country, customer.region, customer.has_vat_id, now()) tax

gives each organization one row, or none where the seller's status is not set.
"""

RULES = """
CREATE TYPE billing_textrange AS RANGE (subtype = text, collation = "C");
ALTER TABLE billing_taxrate ADD CONSTRAINT billing_tax_rate_one_at_a_time EXCLUDE USING gist (
    billing_textrange(country || '-' || lower(region), country || '-' || lower(region), '[]') WITH &&,
    tstzrange(valid_from, valid_until) WITH &&
);

CREATE FUNCTION billing_is_eu(country text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN country = ANY ('{AT,BE,BG,CY,CZ,DE,DK,EE,ES,FI,FR,GR,HR,HU,IE,IT,LT,LU,LV,MT,NL,PL,PT,RO,SE,SI,SK}'::text[]);

CREATE FUNCTION billing_tax_of(
    seller_status text, seller_country text, buyer_country text, buyer_region text, has_vat_id boolean, at timestamptz
) RETURNS TABLE (category text, rate numeric, name text, jurisdiction text) LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
AS $$
    WITH buyer AS (
        SELECT country, billing_is_eu(seller_country) AND billing_is_eu(country) AS is_in_eu
        FROM (SELECT coalesce(nullif(buyer_country, ''), seller_country) AS country) place
    )
    SELECT choice.category, choice.rate, choice.name, choice.jurisdiction FROM buyer CROSS JOIN LATERAL (
        SELECT 1 AS place, 'E' AS category, 0::numeric AS rate, 'VAT' AS name, seller_country AS jurisdiction
        WHERE seller_status = 'small_business'
        UNION ALL SELECT 2, 'AE', 0, 'VAT', buyer.country
        WHERE seller_status = 'registered' AND buyer.is_in_eu AND buyer.country <> seller_country AND has_vat_id
        UNION ALL SELECT CASE WHEN tax.country <> buyer.country THEN 5 WHEN tax.region = '' THEN 4 ELSE 3 END,
            tax.category, tax.rate, tax.name,
            tax.country || CASE WHEN tax.region = '' THEN '' ELSE '-' || tax.region END
        FROM billing_taxrate tax
        WHERE seller_status = 'registered' AND tax.valid_from <= at
            AND (tax.valid_until IS NULL OR at < tax.valid_until)
            AND (tax.country = buyer.country AND lower(tax.region) IN ('', lower(btrim(buyer_region)))
                OR buyer.is_in_eu AND tax.country = seller_country AND tax.region = '')
        UNION ALL SELECT 6, 'O', 0, 'VAT', buyer.country WHERE seller_status = 'registered'
        ORDER BY 1 LIMIT 1
    ) choice
$$;

-- The tax on the amount, or the tax within it, rounded once and half up to a multiple of the step (what can be paid of
-- the currency in minor units: 1, of IDR 100). Whole quotients only, so the result is exact.
CREATE FUNCTION billing_tax_amount(amount_minor bigint, rate numeric, is_inclusive boolean, step bigint)
RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (div(2 * amount_minor * rate + (100 + CASE WHEN is_inclusive THEN rate ELSE 0 END) * step,
    2 * (100 + CASE WHEN is_inclusive THEN rate ELSE 0 END) * step) * step)::bigint;

-- What is paid of prices that come one after another: each that, with those paid before it and with tax, is within
-- `most`, beside `listed_minor` that is on the invoice already. One that is not is passed over.
CREATE FUNCTION billing_add_payable(
    paid_minor bigint, minor bigint, listed_minor bigint, rate numeric, is_inclusive boolean, step bigint, most bigint
) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN listed_minor + paid_minor + minor + CASE WHEN is_inclusive THEN 0
    ELSE coalesce(billing_tax_amount(listed_minor + paid_minor + minor, rate, false, step), 0) END <= most
    THEN paid_minor + minor ELSE paid_minor END;
CREATE AGGREGATE billing_payable(
    minor bigint, listed_minor bigint, rate numeric, is_inclusive boolean, step bigint, most bigint
) (SFUNC = billing_add_payable, STYPE = bigint, INITCOND = '0', PARALLEL = SAFE);
"""
UNDO = """
DROP AGGREGATE billing_payable(bigint, bigint, numeric, boolean, bigint, bigint);
DROP FUNCTION billing_add_payable(bigint, bigint, bigint, numeric, boolean, bigint, bigint);
DROP FUNCTION billing_tax_amount(bigint, numeric, boolean, bigint);
DROP FUNCTION billing_tax_of(text, text, text, text, boolean, timestamptz);
DROP FUNCTION billing_is_eu(text);
ALTER TABLE billing_taxrate DROP CONSTRAINT billing_tax_rate_one_at_a_time;
DROP TYPE billing_textrange;
"""
