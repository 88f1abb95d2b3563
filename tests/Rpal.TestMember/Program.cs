namespace Rpal.TestMember;

internal static class Program
{
    private static int Main() => 0;
}
