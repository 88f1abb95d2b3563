using System.Diagnostics;

namespace Rpal.TestMember.Scenarios;

/// <summary>What a program finds that is in no family.</summary>
internal static class Membership
{
    public static void Add(Dictionary<string, Func<string[], int>> scenarios)
    {
        scenarios.Add("outside", _ => Outside());
        scenarios.AddCaller("child-outside", work =>
        {
            Check.Equal(FamilyMembership.Member, RpalFamily.Membership);
            using var child = Process.Start(Environment.ProcessPath!, ["outside"]);
            Check.That(child.WaitForExit(Check.Patience));
            Check.Equal(0, child.ExitCode);
            Check.Equal(3L, work.Add(1, 2));
        });
    }

    private static int Outside()
    {
        Check.Equal(FamilyMembership.NotInFamily, RpalFamily.Membership);
        Check.That(RpalFamily.Explanation.Contains("rpal run", StringComparison.Ordinal));
        Check.Error(RpalError.NotInFamily, () => RpalService.Register("nowhere"));
        Check.Error(RpalError.NotInFamily, () => RpalConnection.ConnectAsync("nobody").GetAwaiter().GetResult());
        return 0;
    }
}
