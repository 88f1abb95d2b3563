namespace Rpal.Machine.Accounting;

/// <summary>What a slot's accounts said when its process started: what others before it donated there.</summary>
/// <remarks>
/// Accounts are never cleared, because a service that lives on has received what they say. Nobody books for a process that is gone and
/// whose slot was given back (docs/adr/0010), so it does not matter when this is taken, as long as the new process has not called yet.
/// </remarks>
/// <param name="member">The slot.</param>
internal sealed class OpeningBalance(int member)
{
    private readonly ILookup<int, Books.Row> _byThread = Books.DonatedBy(member).ToLookup(r => r.Thread);

    /// <summary>What the process that started then has donated, row by row. Rows in which it has booked nothing are left out.</summary>
    public IEnumerable<Books.Row> DonatedSince() =>
        from now in Books.DonatedBy(member).GroupBy(r => r.Thread)
        let rows = now.ToList()
        let before = Before(now.Key, rows)
        from row in rows
        let rest = Subtract(row, before.GetValueOrDefault(row.Registration))
        where rest.Cycles > 0 || rest.Calls > 0
        select rest;

    /// <summary>The balance of one account by registration. What has lost its row since is where its cycles are now: with the member that had the service.</summary>
    private Dictionary<ulong, Books.Row> Before(int thread, List<Books.Row> rows)
    {
        Dictionary<ulong, Books.Row> before = [];
        foreach (Books.Row row in _byThread[thread])
        {
            ulong registration = rows.Exists(r => r.Registration == row.Registration) ? row.Registration : (ulong)row.Receiver;
            before[registration] = row with { Cycles = row.Cycles + before.GetValueOrDefault(registration).Cycles };
        }

        return before;
    }

    /// <summary>Never below zero: a row may be read in the middle of a turnover.</summary>
    private static Books.Row Subtract(Books.Row now, Books.Row before) =>
        now with { Cycles = now.Cycles - Math.Min(now.Cycles, before.Cycles), Calls = now.Calls - Math.Min(now.Calls, before.Calls) };
}
