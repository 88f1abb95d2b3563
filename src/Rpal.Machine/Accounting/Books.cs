using Rpal.Machine.Blocks;

namespace Rpal.Machine.Accounting;

/// <summary>Sums over the accounts of all members, in cycles of the time stamp counter.</summary>
/// <remarks>
/// Every cycle is booked once, by the thread that donated it: what a service received is the sum over all accounts, so what was
/// donated and what was received cannot differ. Time in nested calls is contained in that of the calls around them: B receives it
/// from A and donates it to C.
/// </remarks>
internal static unsafe class Books
{
    /// <summary>Tries to read an account while its thread turns a row over to another registration. It may have been killed in the middle.</summary>
    private const int ReadTries = 100;

    /// <summary>What one thread block of a member, whoever used it, donated to a service until now.</summary>
    public readonly record struct Row(int Sender, int Thread, ulong Registration, ulong Cycles, ulong Calls)
    {
        /// <summary>The member that received.</summary>
        public int Receiver => (int)(Registration & ThreadAccount.MemberMask);
    }

    /// <summary>The rows of one account. Those of registrations that have lost their place are summed up per member, with 0 calls and a registration that is only the member.</summary>
    public static List<Row> Read(int member, int thread)
    {
        ThreadAccount* account = ThreadAccount.At(member, thread);
        List<Row> rows = [];
        for (int tries = 0; tries < ReadTries; tries++)
        {
            rows.Clear();
            ulong sequence = Volatile.Read(ref account->Sequence);
            for (int m = 0; m <= ThreadAccount.MemberMask; m++)
            {
                if (account->Gone[m] is > 0 and ulong gone)
                {
                    rows.Add(new(member, thread, (ulong)m, gone, 0));
                }
            }

            for (int service = 0; service < FamilyLayout.ServiceCapacity; service++)
            {
                ulong* row = account->Rows + service * ThreadAccount.RowWords;
                if (row[ThreadAccount.Registration] != 0)
                {
                    rows.Add(new(member, thread, row[ThreadAccount.Registration], row[ThreadAccount.Cycles], row[ThreadAccount.Calls]));
                }
            }

            if (sequence % 2 == 0 && Volatile.Read(ref account->Sequence) == sequence)
            {
                break;
            }
        }

        return rows;
    }

    /// <summary>What one member's threads donated, those that are gone included.</summary>
    public static IEnumerable<Row> DonatedBy(int member)
    {
        for (int t = 0; t < FamilyLayout.ThreadCapacity && IsUsed(member, t); t++)     // blocks are handed out from the first on
        {
            foreach (Row row in Read(member, t))
            {
                yield return row;
            }
        }
    }

    /// <summary>All that was ever donated.</summary>
    public static IEnumerable<Row> All() => Enumerable.Range(0, FamilyLayout.MemberCapacity).SelectMany(DonatedBy);

    /// <summary>Cycles that a registered service received, from all members.</summary>
    public static ulong ReceivedBy(ulong registration) => Sum(All().Where(r => r.Registration == registration));

    /// <summary>Cycles that every service ever received, from all members, by its registration.</summary>
    public static Dictionary<ulong, ulong> ReceivedByAll()
    {
        Dictionary<ulong, ulong> received = [];
        foreach (Row row in All())
        {
            received[row.Registration] = received.GetValueOrDefault(row.Registration) + row.Cycles;
        }

        return received;
    }

    /// <summary>Cycles of all rows.</summary>
    public static ulong Sum(IEnumerable<Row> rows) => rows.Aggregate(0ul, static (sum, r) => sum + r.Cycles);

    /// <summary>Cycles as time.</summary>
    public static TimeSpan ToTime(ulong cycles) => TimeSpan.FromSeconds(cycles / (double)FamilyHeader.At->TscPerSecond);

    private static bool IsUsed(int member, int thread) => Volatile.Read(ref ThreadAccount.At(member, thread)->Used) != 0;
}
