"""The end of a period as a function of SQL, so that a run can compute those of a whole batch in one statement."""

# As billing.models.next_period_end. In UTC, as instants are kept, so the result depends on no session's time zone.
RULES = """
CREATE FUNCTION billing_months_of(term text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE term WHEN 'monthly' THEN 1 WHEN 'quarterly' THEN 3 WHEN 'semiannually' THEN 6 WHEN 'yearly' THEN 12 END;

CREATE FUNCTION billing_next_period_end(period_start timestamptz, term text, anchor_day integer) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN term = 'hourly' THEN timezone('UTC', timezone('UTC', period_start) + interval '1 hour')
    ELSE timezone('UTC', date_trunc('month', timezone('UTC', period_start))
        + make_interval(months => billing_months_of(term))
        + make_interval(days => least(anchor_day, extract(day FROM date_trunc('month', timezone('UTC', period_start))
            + make_interval(months => billing_months_of(term) + 1, days => -1))::integer) - 1)
        + (timezone('UTC', period_start) - date_trunc('day', timezone('UTC', period_start))))
    END;
"""
UNDO = """
DROP FUNCTION billing_next_period_end(timestamptz, text, integer);
DROP FUNCTION billing_months_of(text);
"""
